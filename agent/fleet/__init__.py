"""Fleet: desired state that comes signed, is tried and confirmed or undone; reports and accounts that go up."""
