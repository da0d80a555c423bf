"""How files of JPEG 2000 begin: GDAL reads them, by themselves and in a VRT."""

MAGIC = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
