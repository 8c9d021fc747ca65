"""The vendored libraries: unmodified, complete, beside their licences."""

from dataclasses import replace

from scripts.vendor import ROOT, all_rows, find_problems


def test_every_vendored_file_is_the_published_one_and_every_file_is_listed():
    """A change to a script that sees payments must be noticed."""
    assert find_problems(all_rows()) == []


def test_a_changed_a_missing_and_an_unlisted_file_are_each_named():
    """The check itself must be able to fail."""
    first, second, *others = all_rows()
    renamed = replace(second, path=second.path.with_name("gone.js"))
    assert find_problems([replace(first, sha256="0" * 64), renamed, *others]) == [
        f"{first.path.relative_to(ROOT)} differs from the file that {first.archive} published",
        f"{renamed.path.relative_to(ROOT)} is in a vendor table but does not exist",
        f"{second.path.relative_to(ROOT)} is in no vendor table",
    ]


def test_every_vendored_folder_has_its_licence_beside_it():
    """MIT and MPL-2.0 ask for the licence text wherever the library goes."""
    folders = {row.path.parent for row in all_rows()}
    assert folders
    assert [folder.name for folder in folders if not (folder / "LICENSE").is_file()] == []
