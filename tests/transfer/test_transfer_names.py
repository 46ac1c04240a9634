from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.transfer.names import NAME_BYTES, header_name, remote_name, safe_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="from header.txt"', "from header.txt"),
        ("attachment; filename=plain.txt", "plain.txt"),
        ("attachment; filename=plain.txt; size=3", "plain.txt"),
        ("attachment;filename=two words.txt", "two words.txt"),
        ('filename="no type.txt"', "no type.txt"),
        ('ATTACHMENT; FileName="case.txt"', "case.txt"),
        (r'attachment; filename="a \"quoted\" name.txt"', 'a "quoted" name.txt'),
        ('attachment; filename="a;b=c.txt"', "a;b=c.txt"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20file.txt", "naïve file.txt"),
        ("attachment; filename=\"fallback.txt\"; filename*=utf-8'en'%e2%82%ac.txt", "€.txt"),
        ("attachment; filename*=UTF-8''first.txt; filename=second.txt", "first.txt"),
        ("attachment; filename*=iso-8859-1''%A3.txt", "£.txt"),
        ("attachment; filename*=\"UTF-8''quoted.txt\"", "quoted.txt"),
        ("attachment; filename*=nonsense''x; filename=good.txt", "good.txt"),
        ("attachment; filename*=UTF-8''%ff%fe; filename=good.txt", "good.txt"),
        ("attachment; filename*=no-quotes; filename=good.txt", "good.txt"),
        ("attachment; filename*=''plain%20utf8.txt", "plain utf8.txt"),
        ('attachment; filename="' + "ü.txt".encode().decode("latin-1") + '"', "ü.txt"),
        ('attachment; filename="\xfc.txt"', "ü.txt"),
        ('attachment; filename="=?UTF-8?B?w7wudHh0?="', "ü.txt"),
        ('attachment; filename="=?nonsense?B?w7wudHh0?="', "=?nonsense?B?w7wudHh0?="),
        ("inline", ""),
        ("attachment; filename=", ""),
        ('attachment; filename=""', ""),
        ("", ""),
    ],
)
def test_names_in_headers(header: str, name: str) -> None:
    assert header_name(header) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\evil.exe", "evil.exe"),
        ("/etc/passwd", "passwd"),
        ("C:\\x\\y.txt", "y.txt"),
        ("a/..", ""),
        ("..", ""),
        (".", ""),
        ("...", ""),
        ("", ""),
        ("dir/", ""),
        ("x\0y\n\r\x1b[2Jz", "xy[2Jz"),
        ("invoice\u202etxt.exe", "invoicetxt.exe"),
        ("lone \ud800 half", "lone  half"),
        ("  spaces. ", "spaces"),
        (".env", ".env"),
        ("a.tar.gz", "a.tar.gz"),
        ("日本語.bin", "日本語.bin"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_names_keep_their_suffix() -> None:
    name = safe_name("é" * 300 + ".safetensors")
    assert len(name.encode()) <= NAME_BYTES
    assert name.endswith("é.safetensors")
    assert len(safe_name("x" * 300)) == NAME_BYTES
    assert len(safe_name("x." + "y" * 300).encode()) == NAME_BYTES


@pytest.mark.parametrize(
    ("disposition", "urls", "name"),
    [
        (None, ["http://h/a/b.bin?x=/c.bin#d"], "b.bin"),
        (None, ["http://h/a%20b%2Bc.bin"], "a b+c.bin"),
        (None, ["http://h/%2e%2e%2fetc%2fpasswd"], "passwd"),
        (None, ["http://h/", "http://h/first.bin"], "first.bin"),
        (None, ["http://h", "http://h/%2e%2e"], "download"),
        ("attachment", ["http://h/x"], "x"),
        ('attachment; filename=".."', ["http://h/x"], "x"),
        ("attachment; filename=y", ["http://h/x"], "y"),
    ],
)
def test_remote_names(disposition: str | None, urls: list[str], name: str) -> None:
    assert remote_name(disposition, *urls) == name


@given(st.text(), st.text())
def test_whatever_comes_the_name_is_one_of_a_file(header: str, path: str) -> None:
    for disposition in (header, f'attachment; filename="{header}"', f"attachment; filename*=UTF-8''{header}"):
        name = remote_name(disposition, "http://h/" + path.replace("[", "").replace("]", ""))
        assert name not in {"", ".", ".."}
        assert not set(name) & {"/", "\\", "\0", "\n"}
        assert len(name.encode()) <= NAME_BYTES
