"""OneTouch Ultra 2 glucose meter."""
