"""Values of characteristics: octets -> fields -> readings, one file for each family. Nothing here speaks to a device.

Each family has `decode...(data)`: a struct whose fields are None where the value does not hold them, or FrameError when
it is shorter than its own flags demand. Reserved bits and octets after the known fields are ignored. `reading(...)`
makes of it what the gateway reports.
"""
