"""Pictures as other programs write them, one property each, against other readers: ImageCms, pillow's EXIF, tifffile."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from claimkit.errors import InputError
from claimkit.media.colour import icc
from claimkit.media.colour.profiles import convert_array
from claimkit.media.depth import files
from claimkit.media.depth.levels import to_bits
from claimkit.media.depth.values import read_values
from claimkit.media.picture import Picture, fitted_size, write_picture
from claimkit.media.reading import read_picture

P3 = icc.matrix_profile("Display P3", icc.PRIMARIES["Display P3"], icc.D65, None)
ADOBE = icc.adobe_rgb()
WIDE = icc.matrix_profile("BT.2020", icc.PRIMARIES["BT.2020"], icc.D65, 2.2)
LINEAR = icc.matrix_profile("linear", icc.PRIMARIES["sRGB"], icc.D65, 1.0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def opened(path):
    """As pillow reads it, its file closed."""
    with Image.open(path) as image:
        image.load()
        image.getexif().get_ifd(0x8769)
        return image


def smooth(height=24, width=36, seed=0):
    """Every colour within 40 to 215, so that no space clips it much."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 7 + seed) * np.cos(y / 5), np.cos(x / 9) * np.sin(y / 4 + seed), np.sin((x + y) / 11 + seed)]
    return np.round(127.5 + 87 * np.stack(waves, -1)).astype(np.uint8)


def table_profile(space, channels):
    """A profile of a table (mft2) to Lab, version 2: inks for CMYK, a tinted screen for RGB; the formula is below."""
    nodes = 9 if channels == 3 else 5
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, nodes)] * channels, indexing="ij"), -1).reshape(-1, channels)
    light = np.prod(1 - 0.9 * grid, -1) if channels == 4 else grid @ (0.3, 0.6, 0.1)
    lab = np.stack(
        [light * 0xFF00, 0x8000 + 9000 * (grid[:, 1] - grid[:, 0]), 0x8000 + 9000 * (grid[:, 2] - grid[:, 1])], -1
    )
    ramp = np.array([0, 65535], ">u2").tobytes()
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    table = b"mft2" + bytes(4) + struct.pack(">4B", channels, 3, nodes, 0) + matrix + struct.pack(">2H", 2, 2)
    table += ramp * channels + np.round(lab).astype(">u2").tobytes() + ramp * 3
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test" + bytes(1 + 4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": table,
    }
    return profile_of(tags, space, b"Lab ", b"prtr" if channels == 4 else b"mntr")


def grey_profile(gamma):
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey" + bytes(1 + 4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)),
    }
    return profile_of(tags, b"GRAY", b"XYZ ", b"mntr")


def profile_of(tags, space, pcs, kind):
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data
    head = bytes(8) + b"\2\x20\0\0" + kind + space + pcs + struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def seen(image, profile):
    """What ImageCms says that an image shows, in sRGB."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, own, SRGB, outputMode="RGB")).astype(float)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(array, *chunks):
    """A PNG of 16 bits, by the format's definition."""
    height, width, channels = array.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_chunks(path, *chunks):
    """A PNG with chunks put behind its header."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + b"".join(chunks) + data[33:])


PROFILES = {"P3": P3, "Adobe": ADOBE, "2020": WIDE, "linear": LINEAR, "table": table_profile(b"RGB ", 3)}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_obeyed_in_every_format(tmp_path, name, suffix):
    path = tmp_path / f"a.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(smooth()).save(path, icc_profile=PROFILES[name], **options)
    stored = opened(path).convert("RGB")
    picture = read_picture(path)
    assert np.abs(picture.pixels - seen(stored, PROFILES[name])).mean() <= 0.5
    assert picture.profile is None and picture.notes == ()
    assert name == "linear" or np.abs(picture.pixels.astype(float) - np.asarray(stored)).mean() > 0.5, (
        "nothing was converted"
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_obeyed_in_sixteen_bits(tmp_path, name, suffix):
    deep = smooth().astype(np.uint16) * 257
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        path.write_bytes(png16(deep, chunk(b"iCCP", b"x\0\0" + zlib.compress(PROFILES[name]))))
    else:
        tifffile.imwrite(path, deep, iccprofile=PROFILES[name])
    picture = read_picture(path)
    assert picture.depth == 16
    assert np.abs(picture.pixels / 257 - seen(Image.fromarray(smooth()), PROFILES[name])).mean() <= 0.5


@pytest.mark.parametrize("name", PROFILES)
def test_the_own_profile_comes_back_with_the_very_numbers(tmp_path, name):
    Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=PROFILES[name])
    picture = read_picture(tmp_path / "a.png", "own")
    write_picture(tmp_path / "b.png", picture)
    again = opened(tmp_path / "b.png")
    assert np.array_equal(np.asarray(again), smooth()) and again.info["icc_profile"] == PROFILES[name]


def test_a_style_is_brought_into_the_contents_space_and_back(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=ADOBE)
    there = read_picture(tmp_path / "a.png", P3)
    write_picture(tmp_path / "b.png", there)
    again = opened(tmp_path / "b.png")
    assert again.info["icc_profile"] == P3
    assert np.abs(seen(again, P3) - seen(Image.fromarray(smooth()), ADOBE)).mean() <= 0.5


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_results_say_that_they_are_srgb(tmp_path, suffix):
    write_picture(tmp_path / f"a.{suffix}", Picture(smooth()))
    image = opened(tmp_path / f"a.{suffix}")
    assert np.abs(seen(image, image.info["icc_profile"]) - np.asarray(image)).max() <= 1


def test_cmyk_is_read_by_its_profile_and_without_one(tmp_path):
    inks = Image.fromarray(np.dstack([smooth(), np.full((24, 36), 30, np.uint8)]), "CMYK")
    profile = table_profile(b"CMYK", 4)
    for suffix in ("tif", "jpg"):
        inks.save(tmp_path / f"a.{suffix}", icc_profile=profile)
        stored = opened(tmp_path / f"a.{suffix}")
        assert np.abs(read_picture(tmp_path / f"a.{suffix}").pixels - seen(stored, profile)).mean() <= 0.5
    inks.save(tmp_path / "b.tif")
    assert np.array_equal(read_picture(tmp_path / "b.tif").pixels, np.asarray(inks.convert("RGB")))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_profile_is_obeyed(tmp_path, depth):
    ramp = np.arange(0, 256, dtype=np.uint8)[None].repeat(4, 0)
    if depth == 8:
        Image.fromarray(ramp).save(tmp_path / "a.png", icc_profile=grey_profile(1.8))
    else:
        packed = chunk(b"iCCP", b"x\0\0" + zlib.compress(grey_profile(1.8)))
        (tmp_path / "a.png").write_bytes(png16(ramp[..., None].astype(np.uint16) * 257, packed))
    picture = read_picture(tmp_path / "a.png")
    wanted = icc.srgb_encode((np.arange(256) / 255) ** (round(1.8 * 256) / 256)) * 255
    assert picture.depth == depth
    assert np.abs(picture.pixels[0, :, 0] / (1 if depth == 8 else 257) - wanted).mean() <= 0.5


def test_lab_becomes_srgb(tmp_path):
    lab = ImageCms.profileToProfile(Image.fromarray(smooth()), SRGB, ImageCms.createProfile("LAB"), outputMode="LAB")
    lab.save(tmp_path / "a.tif")
    assert np.abs(read_picture(tmp_path / "a.tif").pixels - smooth().astype(float)).mean() < 1.5


@pytest.mark.parametrize("gamma", [0.45455, 1.0, 0.55])
def test_png_gamma_and_primaries_are_obeyed(tmp_path, gamma):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    points = [v for xy in (icc.D65, *icc.PRIMARIES["Display P3"]) for v in xy]
    chromaticities = chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in points)))
    with_chunks(tmp_path / "a.png", chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000))), chromaticities)
    light = (smooth() / 255) ** (1 / gamma)  # of the definition: sample = light ** gamma
    to_srgb = np.linalg.solve(icc.rgb_to_xyz(icc.PRIMARIES["sRGB"]), icc.rgb_to_xyz(icc.PRIMARIES["Display P3"]))
    wanted = icc.srgb_encode(np.clip(light @ to_srgb.T, 0, 1)) * 255
    assert np.abs(read_picture(tmp_path / "a.png").pixels - wanted).mean() <= 0.6


def test_a_png_that_says_srgb_is_srgb_whatever_its_gamma(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    with_chunks(tmp_path / "a.png", chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100_000)))
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels, smooth())


def test_adobe_rgb_named_by_exif_only_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    stored = opened(tmp_path / "a.jpg")
    picture = read_picture(tmp_path / "a.jpg")
    assert np.abs(picture.pixels - seen(stored, ADOBE)).mean() <= 0.5
    write_picture(tmp_path / "b.jpg", picture)
    block = opened(tmp_path / "b.jpg").getexif()
    assert block.get_ifd(0x8769)[0xA001] == 1 and block.get_ifd(0xA005)[1] == "R98", "it would be converted twice"


@pytest.mark.parametrize("damage", ["cut", "noise", "of CMYK"])
def test_a_damaged_profile_is_told_and_left_aside(tmp_path, damage):
    profile = {"cut": P3[:200], "noise": b"\7" * 500, "of CMYK": table_profile(b"CMYK", 4)}[damage]
    Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=profile)
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, smooth()) and "profile" in picture.notes[0] and "sRGB" in picture.notes[0]


def test_masks_and_maps_keep_their_numbers(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.png", icc_profile=LINEAR)
    assert np.array_equal(read_picture(tmp_path / "a.png", managed=False).pixels, smooth())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpg", "png", "webp", "tif", "png16", "tif16"])
def test_orientation_is_applied_once(tmp_path, form, orientation):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:8, :16] = (200, 40, 90)  # one corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{form[:3]}" if form != "webp" else tmp_path / "a.webp"
    if form == "png16":
        path.write_bytes(png16(image.astype(np.uint16) * 257, chunk(b"eXIf", exif.tobytes()[6:])))
    elif form == "tif16":
        tifffile.imwrite(path, image.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(form, {})
        Image.fromarray(image).save(path, exif=exif, **options)
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    picture = read_picture(path)
    pixels = picture.pixels // (257 if picture.depth == 16 else 1)
    tall = orientation > 4
    assert picture.size == ((16, 32) if tall else (32, 16)) and pixels.shape[:2] == picture.size[::-1]
    quarter = pixels[:: pixels.shape[0] - 1, :: pixels.shape[1] - 1, 0] > 100
    assert quarter.tolist() == [[corner == "tl", corner == "tr"], [corner == "bl", corner == "br"]]
    write_picture(tmp_path / f"b{path.suffix}", picture)
    assert opened(tmp_path / f"b{path.suffix}").getexif().get(0x0112, 1) == 1


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" tiff:Orientation="1"
 dc:rights="hers"/>
</rdf:RDF></x:xmpmeta>"""


def told(suffix, folder):
    """A file that says all that can be said, and the options that pillow wrote it with."""
    exif = Image.Exif()
    exif[271], exif[272], exif[306], exif[315], exif[33432] = "Maker", "Model 3", "2024:01:02 03:04:05", "She", "(c) she"
    camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    camera[0x9003], camera[0x829A], camera[0x8827] = "2024:01:02 03:04:05", 0.004, 400
    place[1], place[2], place[3], place[4] = "N", (52.0, 31.0, 0.0), "E", (13.0, 24.0, 0.0)
    options = {"exif": exif, "quality": 95, "dpi": (300, 300)}
    if suffix == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options |= {"pnginfo": info}
    elif suffix != "tif":
        options |= {"xmp": XMP}
    path = folder / f"told.{suffix}"
    if suffix == "tif":  # by tifffile, with a camera directory
        write_picture(path, read_picture(told("jpg", folder)))
    else:
        Image.fromarray(smooth()).save(path, **options)
    return path


@pytest.mark.parametrize("after", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("before", ["jpg", "png", "webp", "tif", "avif"])
def test_what_a_file_says_is_said_again(tmp_path, before, after):
    picture = read_picture(told(before, tmp_path))
    write_picture(tmp_path / f"b.{after}", picture)
    image = opened(tmp_path / f"b.{after}")
    block = image.getexif()
    camera, place = block.get_ifd(0x8769), block.get_ifd(0x8825)
    assert (block[271], block[306], block[33432]) == ("Maker", "2024:01:02 03:04:05", "(c) she")
    assert (camera[0x9003], float(camera[0x829A]), camera[0x8827]) == ("2024:01:02 03:04:05", 0.004, 400)
    assert (camera[0xA002], camera[0xA003]) == (36, 24) and place[1] == "N" and [float(v) for v in place[2]] == [52, 31, 0]
    image.load()
    packet = image.info.get("xmp", image.info.get("XML:com.adobe.xmp", b""))
    assert "hers" in (packet if isinstance(packet, str) else packet.decode())
    assert "Orientation" not in str(packet)
    dpi = image.info.get("dpi") if after in ("jpg", "png", "tif") else (block.get(282), block.get(283))
    assert before in ("webp", "avif") or [round(float(v)) for v in dpi] == [300, 300]
    write_picture(tmp_path / f"c.{after}", picture, strip=True)
    bare = opened(tmp_path / f"c.{after}")
    bare.load()
    assert not bare.getexif().get_ifd(0x8769) and 33432 not in bare.getexif() and "icc_profile" in bare.info
    assert not {"xmp", "XML:com.adobe.xmp"} & set(bare.info)


def test_no_thumbnail_of_the_old_picture_stays(tmp_path):
    small = io.BytesIO()
    Image.fromarray(smooth()).save(small, "JPEG")
    head = b"Exif\0\0" + b"II*\0\x08\0\0\0"
    first = struct.pack("<H", 1) + struct.pack("<HHI4s", 271, 2, 4, b"Mak\0") + struct.pack("<I", 26)
    second = (
        struct.pack("<H", 2) + struct.pack("<HHII", 513, 4, 1, 56) + struct.pack("<HHII", 514, 4, 1, len(small.getvalue()))
    )
    exif = head + first + second + struct.pack("<I", 0) + small.getvalue()
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    assert (tmp_path / "a.jpg").read_bytes().count(b"\xff\xd8\xff") == 2, "the test's own file"
    write_picture(tmp_path / "b.jpg", read_picture(tmp_path / "a.jpg"))
    block = opened(tmp_path / "b.jpg").getexif()
    assert block[271] == "Mak" and not block.get_ifd(1) and (tmp_path / "b.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


def test_iptc_of_a_jpeg_stays(tmp_path):
    record = b"\x1c\x02\x74\x00\x03she"  # 2:116, the copyright
    body = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(record)) + record
    extra = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", extra=extra)
    write_picture(tmp_path / "b.jpg", read_picture(tmp_path / "a.jpg"))
    assert opened(tmp_path / "b.jpg").info["photoshop"][0x0404] == record


def test_a_damaged_exif_does_not_stop_anything(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0" + b"\xff" * 40, quality=95)
    assert read_picture(tmp_path / "a.jpg").pixels.shape == (24, 36, 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_survive(tmp_path, channels):
    array = np.random.default_rng(channels).integers(0, 65536, (9, 13, channels), np.uint16)
    (tmp_path / "a.png").write_bytes(png16(array))
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, array[..., :3] if channels > 2 else array[..., :1].repeat(3, 2))
    assert (picture.opacity is None) == (channels in (1, 3))
    for suffix in ("png", "tif"):
        write_picture(tmp_path / f"b.{suffix}", picture)
        again = read_picture(tmp_path / f"b.{suffix}")
        assert np.array_equal(again.pixels, picture.pixels)
        assert channels in (1, 3) or np.array_equal(again.opacity, array[..., -1])
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif")[..., :3], picture.pixels)


def test_a_ramp_of_4096_levels_keeps_them(tmp_path):
    ramp = np.repeat((np.arange(4096) * 16)[None, :, None], 4, 0).repeat(3, 2).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png16(ramp))
    picture = read_picture(tmp_path / "a.png")
    assert len(np.unique(picture.rgb[1].numpy())) == 4096
    write_picture(tmp_path / "b.png", picture.with_rgb(picture.rgb))
    assert len(np.unique(read_picture(tmp_path / "b.png").pixels)) == 4096


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint32])
def test_floating_point_and_32_bit_tiffs_are_read(tmp_path, dtype):
    values = np.linspace(0, 1, 200).reshape(5, 40)[..., None] * (1, 0.5, 0.25)
    stored = (values * (2**32 - 1)).astype(dtype) if dtype == np.uint32 else values.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.depth == 32 and np.abs(picture.pixels - values).max() < 1e-3 and not picture.notes


def test_floating_point_beyond_one_is_scaled_and_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.float32([[[0, 1, 4], [2, 0.5, 0]]]), photometric="rgb")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.pixels.tolist() == [[[0, 0.25, 1], [0.5, 0.125, 0]]] and "4" in picture.notes[0]


@pytest.mark.parametrize("packing", ["zlib", "lzw"])
def test_packed_deep_tiffs_are_read(tmp_path, packing):
    array = smooth().astype(np.uint16) * 257
    try:
        tifffile.imwrite(tmp_path / "a.tif", array, compression=packing)
    except (ImportError, ValueError, KeyError):
        pytest.skip(f"nothing here packs a TIFF of 16 bits as {packing}")
    assert np.array_equal(read_picture(tmp_path / "a.tif").pixels, array)


def test_rounding_to_eight_bits_is_dithered_and_leaves_whole_steps(tmp_path):
    whole = np.arange(256, dtype=np.float32)[None, :, None].repeat(300, 0).repeat(3, 2) / 255
    assert np.array_equal(to_bits(whole, 8)[..., 0], np.arange(256)[None].repeat(300, 0))
    between = np.full((256, 256, 3), 100.25 / 255, np.float32)
    rounded = to_bits(between, 8)
    assert set(np.unique(rounded)) == {100, 101} and abs(float(rounded.mean()) - 100.25) < 0.02
    assert np.array_equal(to_bits(to_bits(whole, 16), 8), to_bits(whole, 8))
    assert np.array_equal(to_bits(to_bits(whole, 8), 16), to_bits(whole, 16))


def test_depth_that_a_format_lacks_is_refused_where_asked_for(tmp_path):
    deep = Picture(np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError, match=r"\.jpg holds 8 bits a channel: use \.png or \.tif"):
        write_picture(tmp_path / "a.jpg", deep, depth=16)
    write_picture(tmp_path / "a.jpg", deep)
    write_picture(tmp_path / "a.png", deep, depth=8)
    assert "8 bits" in " ".join(write_picture(tmp_path / "b.jpg", deep)), "a loss of depth without a word"
    assert read_picture(tmp_path / "a.png").depth == 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBa", "I;16", "palette with a transparent colour"])
def test_modes_and_transparency(tmp_path, mode):
    image, path = Image.fromarray(smooth()), tmp_path / "a.png"
    if mode.startswith("palette"):
        image = image.quantize(8)
        image.save(path, transparency=3)
        opaque = np.asarray(image) != 3
    elif mode in ("LA", "PA", "RGBA", "RGBa"):
        image.putalpha(Image.fromarray(np.where(smooth()[..., 0] > 127, 255, 0).astype(np.uint8)))
        opaque = smooth()[..., 0] > 127
        image = image.convert("RGBA").convert("LA") if mode in ("LA", "PA") else image
        path = tmp_path / ("a.tif" if mode == "RGBa" else "a.png")
        image.save(path)
    else:
        image = Image.fromarray(smooth()[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        image.save(path)
        opaque = None
    picture = read_picture(path)
    assert picture.pixels.shape == (24, 36, 3)
    assert (picture.opacity is None) if opaque is None else np.array_equal(picture.opacity > 0, opaque)
    wanted = opened(path)
    wanted = np.asarray(wanted) // 257 if mode == "I;16" else np.asarray(wanted.convert("RGB"))
    got = picture.pixels // 257 if mode == "I;16" else picture.pixels
    assert (
        np.abs(got.astype(int) - (wanted[..., None] if wanted.ndim == 2 else wanted))[
            opaque if opaque is not None else ...
        ].max()
        <= 1
    )


def test_transparency_comes_back_or_is_told(tmp_path):
    opacity = np.zeros((24, 36), np.uint8)
    opacity[:, 18:] = 255
    picture = Picture(smooth(), opacity)
    for suffix in ("png", "webp", "tif", "avif"):
        assert write_picture(tmp_path / f"a.{suffix}", picture) == ()
        assert np.abs(np.asarray(opened(tmp_path / f"a.{suffix}").getchannel("A")).astype(int) - opacity).max() <= 2
    assert "no transparency" in write_picture(tmp_path / "a.jpg", picture)[0]
    assert np.asarray(opened(tmp_path / "a.jpg"))[:, :10].min() > 250


def test_shrinking_does_not_bleed_what_is_transparent():
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (255, 0, 0), (0, 0, 255)
    opacity = np.where(np.arange(40) < 19, 0, 255).astype(np.uint8)[None].repeat(40, 0)
    small = Picture(pixels, opacity).fitted(10)
    assert small.opacity.shape == (10, 10) and (small.pixels[:, 6:, 0] == 0).all() and small.size == (40, 40)


@pytest.mark.parametrize("size, side, wanted", [
    ((12000, 1000), 1024, (3547, 296)), ((1000, 1000), 100, (100, 100)), ((50, 40), 100, (50, 40)), ((9, 1), 1, (3, 1)),
    ((4000, 3000), 0, (4000, 3000)), ((1, 1), 5, (1, 1)), ((100_000, 1), 10, (3162, 1)),
])  # fmt: skip
def test_sizes_are_bounded_by_area_and_shapes_stay(size, side, wanted):
    assert fitted_size(*size, side) == wanted


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_pictures_the_first_is_taken_with_a_word(tmp_path, suffix):
    frames = [Image.fromarray(np.full((20, 30, 3), 60 * k, np.uint8)) for k in range(3)]
    frames[0].save(
        tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {})
    )
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert picture.pixels.max() <= 2 and "holds 3 pictures: the first is taken" in picture.notes[0]


HEAD = {
    "a.heic": b"\0\0\0\x18ftypheic" + bytes(200),
    "b.jpg": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200),
    "c.jxl": b"\xff\x0a" + bytes(100),
    "d.png": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100),
}


@pytest.mark.parametrize("name", HEAD)
def test_a_picture_that_needs_a_plugin_names_it(tmp_path, name, monkeypatch):
    for module in ("pillow_heif", "pillow_jxl"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(HEAD[name])
    with pytest.raises(InputError, match=r"(HEIC|JPEG XL) picture needs the package pillow-(heif|jxl-plugin) \(pip install"):
        read_picture(tmp_path / name)
    with pytest.raises(InputError, match="needs the package"):
        write_picture(tmp_path / "out.heic", Picture(smooth()))


JXL = {  # how files of cjxl 0.7 begin, and the bits that jxlinfo reads from them
    "ff0a78018080105e9406244c0590aa91": 8,  # 65 x 48
    "ff0a48809e0f0ae1456940c25400a91a": 10,  # 2000 x 10
    "ff0ada15e87cc0105e9406244c0590aa": 12,  # 1000 x 700
    "ff0ada15e87ce0078417a501095301a4": 16,
    "ff0a7ff003c28bd28084a9005235b2f1": 16,  # 256 x 256
    "ff0a98400b3b2079511a90301540aa46": 15,  # turned by a quarter
    "ff0a98400b041497040802010024004b": 8,
    "ff0ae830c100028a4b02080292090000": 8,  # an animation
    "ff0ae800269003282e0408020100d94b": 32,  # floating point
}
BOX = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "


@pytest.mark.parametrize(
    "before", [b"", BOX + b"\0\0\2\xcdjxlc", BOX + b"\0\0\0\tjxll\n\0\0\1zjxlp\0\0\0\0"], ids=["bare", "box", "parts"]
)
@pytest.mark.parametrize("head", JXL)
def test_the_bits_of_a_jpeg_xl_are_read_from_its_header(tmp_path, before, head):
    (tmp_path / "a.jxl").write_bytes(before + bytes.fromhex(head))
    image = Image.new("RGB", (8, 8))
    image.format = "JXL"
    assert files.bits_of(tmp_path / "a.jxl", image) == JXL[head]


@pytest.mark.parametrize("opaque", [True, False])
def test_a_jpeg_xl_of_more_bits_is_read_deep_or_with_a_word(tmp_path, monkeypatch, opaque):
    pytest.importorskip("pillow_jxl")
    codec = pytest.importorskip("imagecodecs")
    deep = np.arange(64 * 48 * 3, dtype=np.uint16).reshape(48, 64, 3) * 7
    seen = np.tile(np.uint16([65535, 300]), (48, 32))
    data = deep if opaque else np.dstack([deep, seen])
    (tmp_path / "a.jxl").write_bytes(codec.jpegxl_encode(data, lossless=True))
    found = read_picture(tmp_path / "a.jxl", managed=False)
    assert found.depth == 16 and not found.notes
    np.testing.assert_array_equal(found.pixels, deep)
    assert found.opacity is None if opaque else np.array_equal(found.opacity, seen)
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    found = read_picture(tmp_path / "a.jxl", managed=False)
    np.testing.assert_allclose(found.pixels, deep / 257, atol=1)
    assert (
        found.depth == 8 and "has 16 bits a colour: it is read in 8, with the package imagecodecs in all" in found.notes[0]
    )


def test_half_floats_of_a_jpeg_xl_are_read_as_floats(tmp_path, monkeypatch):
    half = np.linspace(0, 1, 48, dtype=np.float16).reshape(4, 4, 3)
    monkeypatch.setattr(files, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "imagecodecs", SimpleNamespace(jpegxl_decode=lambda data: half))
    (tmp_path / "a.jxl").write_bytes(b"")
    image = Image.new("RGB", (4, 4))
    image.format = "JXL"
    pixels, opacity = files.read_deep(tmp_path / "a.jxl", image)
    assert pixels.dtype == np.float32 and opacity is None
    np.testing.assert_array_equal(pixels, half)


def test_heic_is_read_and_written_with_its_plugin(tmp_path):
    plugin = pytest.importorskip("pillow_heif")
    write_picture(tmp_path / "a.heic", Picture(smooth(64, 96), profile=P3), quality=100)
    independent = plugin.open_heif(tmp_path / "a.heic")
    assert independent.info["icc_profile"] == P3
    read = read_picture(tmp_path / "a.heic", "own").pixels
    assert np.array_equal(read, np.asarray(independent)[..., :3])
    assert np.abs(read - smooth(64, 96).astype(float)).mean() < 5  # its chroma is kept at half size


def test_raw_files_are_refused_and_their_thumbnail_is_not_taken(tmp_path):
    tifffile.imwrite(tmp_path / "a.dng", smooth(), subfiletype=1, extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
    for name in ("b.tif", "c.nef"):
        (tmp_path / name).write_bytes((tmp_path / "a.dng").read_bytes())
    (tmp_path / "d.jpg").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(100))
    (tmp_path / "e.raf").write_bytes(b"FUJIFILMCCD-RAW" + bytes(100))
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=r"camera's raw file .* develop it to TIFF or JPEG first"):
            read_picture(path)


@pytest.mark.parametrize("content, sentence", [
    (b"", "is empty"), (b"only text", "is no picture"), (b"\0\0\0\x18ftypisom" + bytes(99), "is a video"),
    (bytes(5000), "is no picture"),
])  # fmt: skip
def test_what_is_no_picture_gets_one_sentence(tmp_path, content, sentence):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.jpg {sentence}"):
        read_picture(tmp_path / "a.jpg")


def test_four_gigabytes_of_zeros_are_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(4 << 30)
    with pytest.raises(InputError, match="is no picture"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp", "avif"])
def test_half_a_file_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"a.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is no picture that can be read, or it is damaged"):
        read_picture(tmp_path / f"a.{suffix}")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    )
    with pytest.raises(InputError, match="178 million pixels"):
        read_picture(tmp_path / "a.png")


def test_results_are_whole_or_absent_and_their_errors_one_sentence(tmp_path):
    for name, sentence in (("a.xyz", "names no picture format"), ("a.pdf", "names no picture format")):
        with pytest.raises(InputError, match=sentence):
            write_picture(tmp_path / name, Picture(smooth()))
    with pytest.raises(InputError, match=r"\.webp cannot hold a picture of this size|cannot be written"):
        write_picture(tmp_path / "a.webp", Picture(np.zeros((2, 17_000, 3), np.uint8)))
    with pytest.raises(InputError, match="quality = 0"):
        write_picture(tmp_path / "a.jpg", Picture(smooth()), quality=0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(tmp_path / "file" / "a.jpg", Picture(smooth()))
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_one_pixel_and_a_strip(tmp_path):
    for shape in ((1, 1), (1, 3000), (3000, 1)):
        write_picture(tmp_path / "a.png", Picture(np.full((*shape, 3), 77, np.uint8)))
        assert (read_picture(tmp_path / "a.png", side=20).pixels == 77).all()


def test_quality_counts(tmp_path):
    noise = Picture(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for suffix in ("jpg", "webp", "avif"):
        for quality in (30, 95):
            write_picture(tmp_path / f"{quality}.{suffix}", noise, quality=quality)
        assert (tmp_path / f"30.{suffix}").stat().st_size < 0.7 * (tmp_path / f"95.{suffix}").stat().st_size


def test_a_large_picture_is_shrunk_while_it_is_read(tmp_path):
    """The peak of a process that reads 48 megapixels to be worked on at 512: decoded whole they alone are 144 MB."""
    Image.new("RGB", (8000, 6000), (180, 90, 70)).save(tmp_path / "a.jpg", quality=60)
    code = (
        "import resource, sys; from pathlib import Path; from claimkit.media.reading import read_picture\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "picture = read_picture(Path(sys.argv[1]), side=512)\n"
        "assert picture.size == (8000, 6000) and picture.pixels.shape == (443, 591, 3), picture.pixels.shape\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    grown = subprocess.run([sys.executable, "-c", code, tmp_path / "a.jpg"], capture_output=True, text=True, check=True)
    assert float(grown.stdout) < 100


def test_arrays_are_converted_between_any_two_spaces():
    values = smooth().astype(np.float32) / 255
    there = convert_array(values, icc.srgb(), WIDE)
    assert np.abs(convert_array(there, WIDE, None) - values).max() < 1e-3
    assert np.abs(there * 255 - np.asarray(seen_in(WIDE))).mean() <= 0.5


def seen_in(profile):
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(Image.fromarray(smooth()), SRGB, own, outputMode="RGB")


FORMS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000", "AVIF", "PPM", "TGA")


def read_of_fuzzed(tmp_path, count):
    """How many of so many pictures with damaged headers are read; the others raise one sentence each."""
    rng, path = np.random.default_rng(20), Path(tmp_path / "a.png")
    whole = {}
    for form in FORMS:
        buffer = io.BytesIO()
        Image.fromarray(smooth(12, 12)).save(buffer, form)
        whole[form] = buffer.getvalue()
    read = 0
    for i in range(count):
        data = bytearray(whole[FORMS[i % len(FORMS)]])
        for at in rng.integers(0, min(len(data), 200), rng.integers(1, 9)):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            read += read_picture(path).pixels.ndim == 3
        except InputError as e:
            assert str(e).startswith(str(path)) and "\n" not in str(e)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    return read


def test_fuzzed_headers_raise_one_sentence_each(tmp_path):
    assert 0 < read_of_fuzzed(tmp_path, 240) < 240


@pytest.mark.slow
def test_two_thousand_fuzzed_headers(tmp_path):
    assert 0 < read_of_fuzzed(tmp_path, 2000) < 2000


def ramp16(width=256, height=16):
    """16 bits of three different ramps, more levels than 8 bits have."""
    line = np.linspace(0, 65535, width).astype(np.uint16)
    return np.stack([np.tile(v, (height, 1)) for v in (line, line[::-1], line // 2)], -1)


@pytest.mark.parametrize(("top", "within"), [(65535, 0), (1023, 32), (4095, 8), (255, 129)])
def test_a_ppm_of_more_than_8_bits_keeps_them(tmp_path, top, within):
    pixels = ramp16()
    stored = np.round(pixels * (top / 65535)).astype(">u2" if top > 255 else np.uint8)
    (tmp_path / "a.ppm").write_bytes(f"P6\n# made here\n256 16\n{top}\n".encode() + stored.tobytes())
    picture = read_picture(tmp_path / "a.ppm")
    assert picture.pixels.dtype == (np.uint16 if top > 255 else np.uint8) and not picture.notes
    scale = 1 if top > 255 else 257
    assert np.abs(picture.pixels.astype(int) * scale - pixels).max() <= within


def write_jpeg2000(path, pixels):
    import av

    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("jpeg2000", rate=1)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "rgb48le"
        stream.options = {"pred": "1"}  # lossless
        for frame in (av.VideoFrame.from_ndarray(pixels, format="rgb48le"), None):
            for packet in stream.encode(frame):
                container.mux(packet)


def test_a_jpeg_2000_of_16_bits_keeps_them(tmp_path):
    write_jpeg2000(tmp_path / "a.jp2", ramp16())
    picture = read_picture(tmp_path / "a.jp2")
    assert np.array_equal(picture.pixels, ramp16()) and not picture.notes


def test_white_of_a_jpeg_2000_of_12_bits_is_white(tmp_path):
    write_jpeg2000(tmp_path / "a.jp2", ramp16())
    data = bytearray((tmp_path / "a.jp2").read_bytes())
    at = data.find(b"\xff\x4f\xff\x51") + 42
    assert [data[at + 3 * i] for i in range(3)] == [15, 15, 15]
    for i in range(3):
        data[at + 3 * i] = 11  # says 12 bits now: what lies beyond is cut by the decoder
    (tmp_path / "b.jp2").write_bytes(data)
    assert read_picture(tmp_path / "b.jp2").pixels.max() == 65535


@pytest.mark.parametrize("bits", [10, 12])
def test_a_heic_of_more_than_8_bits_keeps_them(tmp_path, bits):
    plugin = pytest.importorskip("pillow_heif")
    pixels = ramp16()
    made = plugin.from_bytes(mode="RGB;16", size=(256, 16), data=pixels.tobytes())
    before = plugin.options.SAVE_HDR_TO_12_BIT
    plugin.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        made.save(tmp_path / "a.heic", quality=-1, chroma=444)
    finally:
        plugin.options.SAVE_HDR_TO_12_BIT = before
    picture = read_picture(tmp_path / "a.heic")
    assert picture.pixels.dtype == np.uint16 and not picture.notes
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 2 * 65536 / 2**bits


def test_an_avif_of_10_bits_is_read_in_8_with_a_note(tmp_path):
    import av

    codec = next((c for c in ("libaom-av1", "libsvtav1") if c in av.codecs_available), None)
    if codec is None:
        pytest.skip("this PyAV writes no AV1")
    for bits, form in ((10, "yuv420p10le"), (8, "yuv420p")):
        with av.open(str(tmp_path / f"{bits}.avif"), "w", format="avif") as container:
            stream = container.add_stream(codec, rate=1)
            stream.width, stream.height, stream.pix_fmt = 256, 64, form
            frame = av.VideoFrame.from_ndarray(ramp16(height=64), format="rgb48le").reformat(format=form)
            for f in (frame, None):
                for packet in stream.encode(f):
                    container.mux(packet)
        notes = read_picture(tmp_path / f"{bits}.avif").notes
        assert notes == ((f"{tmp_path / '10.avif'} has 10 bits a colour: it is read in 8",) if bits == 10 else ())


def test_the_numbers_of_a_file_come_as_they_are(tmp_path):
    """Whatever a picture would make of them: sixteen bits, a palette's order, transparency, orientation."""
    deep = np.arange(24, dtype=np.uint16).reshape(2, 4, 3) * 3
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    found = read_values(tmp_path / "a.tif")
    assert np.array_equal(found.numbers, deep) and found.exact and found.seen is None
    tifffile.imwrite(tmp_path / "a.tif", deep[..., 0].astype(np.int64) - 1)
    assert np.array_equal(read_values(tmp_path / "a.tif").numbers, deep[..., 0].astype(np.int64) - 1)
    palette = Image.fromarray(np.array([[0, 1], [2, 2]], np.uint8)).convert("P")
    palette.putpalette([9, 9, 9, 9, 9, 9, 50, 60, 70])
    palette.save(tmp_path / "p.png")
    found = read_values(tmp_path / "p.png")
    assert found.indices.tolist() == [[0, 1], [2, 2]] and found.numbers[1, 1].tolist() == [50, 60, 70]
    exif = Image.Exif()
    exif[0x0112] = 6
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, :, 3] = 200
    Image.fromarray(rgba).save(tmp_path / "t.png", exif=exif)
    assert read_values(tmp_path / "t.png").seen.tolist() == [[False, True]] * 3
    Image.fromarray(rgba[..., :3]).save(tmp_path / "j.jpg")
    assert not read_values(tmp_path / "j.jpg").exact


def plain_map(top):
    """Every number up to a largest one, and a file's beginning that says so."""
    numbers = (np.arange(48) * top // 47).astype(np.uint16).reshape(6, 8)
    return numbers, f"8 6\n{top}\n".encode()


@pytest.mark.parametrize("top", [15, 100, 255, 1000, 4095, 65535])
def test_numbers_of_a_plain_map_are_not_spread_to_white(tmp_path, top):
    numbers, head = plain_map(top)
    wide = ">u2" if top > 255 else "u1"
    three = np.dstack([numbers, numbers[::-1], numbers])
    (tmp_path / "a.pgm").write_bytes(b"P5\n" + head + numbers.astype(wide).tobytes())
    (tmp_path / "a.ppm").write_bytes(b"P6\n" + head + three.astype(wide).tobytes())
    assert np.array_equal(read_values(tmp_path / "a.pgm").numbers, numbers)
    assert np.array_equal(read_values(tmp_path / "a.ppm").numbers, three)


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_numbers_of_compressed_maps_are_not_spread_to_white(tmp_path, bits):
    pytest.importorskip("pillow_jxl")
    codec = pytest.importorskip("imagecodecs")
    numbers = plain_map((1 << bits) - 1)[0]
    three = np.dstack([numbers, numbers[::-1], numbers])
    for name, values in (("grey", numbers), ("colour", three)):
        kept = {"level": 0, "reversible": True, "bitspersample": bits}
        (tmp_path / f"{name}.jp2").write_bytes(codec.jpeg2k_encode(values, **kept))
        assert np.array_equal(read_values(tmp_path / f"{name}.jp2").numbers, values)
        (tmp_path / f"{name}.jxl").write_bytes(codec.jpegxl_encode(values, lossless=True, bitspersample=bits))
        assert np.array_equal(read_values(tmp_path / f"{name}.jxl").numbers, values)


def test_ten_bits_of_a_heic_are_its_own_numbers(tmp_path):
    plugin = pytest.importorskip("pillow_heif")
    numbers = np.repeat(np.arange(0, 1024, 16, dtype=np.uint16)[None], 64, 0)
    made = plugin.from_bytes("RGB;16", (64, 64), np.ascontiguousarray(np.dstack([numbers] * 3) << 6).tobytes())
    made.save(tmp_path / "a.heic", quality=-1)
    found = read_values(tmp_path / "a.heic")
    assert not found.exact and np.abs(found.numbers.astype(int) - numbers[..., None]).max() <= 4
