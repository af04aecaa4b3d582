"""Draeger ventilators and anaesthesia machines that speak MEDIBUS."""
