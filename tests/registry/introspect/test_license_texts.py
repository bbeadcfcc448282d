"""Licence files: which texts are known, and what they are evidence of."""

import pytest

from modelhub.registry.introspect import Metadata, introspect, metadata_wanted
from modelhub.registry.introspect.license_texts import MAX_TEXT, license_of

from .build import listing

APACHE = """
                                 Apache License
                           Version 2.0, January 2004
                        http://www.apache.org/licenses/
   5. … shall be under the terms and conditions of this License,
      without any additional terms or conditions.
"""
MIT = """MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
"""
BSD2 = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted"
BSD3 = BSD2 + "\n3. Neither the name of the copyright holder nor the names of its contributors"

TEXTS = {
    "apache-2.0": APACHE,
    "mit": MIT,
    "bsd-2-clause": BSD2,
    "bsd-3-clause": BSD3,
    "gpl-2.0": "GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991",
    "gpl-3.0": "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007\n"
    "13. Use with the GNU Affero General Public License.\nversion 3 of the GNU Affero General Public License",
    "agpl-3.0": "GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007\n"
    "version 3 of the GNU General Public License",
    "lgpl-3.0": "GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007",
    "lgpl-2.1": "GNU LESSER GENERAL PUBLIC LICENSE\n   Version 2.1, February 1999",
    "cc0-1.0": "CC0 1.0 Universal",
    "cc-by-4.0": "Creative Commons Attribution 4.0 International Public License",
    "cc-by-nc-4.0": "# Attribution-NonCommercial 4.0 International",
    "cc-by-nc-sa-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
    "cc-by-sa-3.0": "Attribution-ShareAlike 3.0 Unported",
    "creativeml-openrail-m": "CreativeML Open RAIL-M\ndated August 22, 2022",
    "openrail++": "CreativeML Open RAIL++-M License",
    "bigcode-openrail-m": "BigCode OpenRAIL-M v1",
    "openrail": "An Open RAIL license of our own",
    "llama2": "LLAMA 2 COMMUNITY LICENSE AGREEMENT",
    "llama3": "META LLAMA 3 COMMUNITY LICENSE AGREEMENT",
    "llama3.1": "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT",
    "gemma": "Gemma Terms of Use\nLast modified: February 21, 2024",
    "apache-2.0, mit": APACHE + MIT,
    "other": "All rights reserved. Ask us.",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_known_by_its_phrases(name):
    assert license_of(TEXTS[name].encode()) == name
    assert license_of(TEXTS[name].replace("\n", "\r\n").encode() + b"\xff\xfe") == name


@pytest.mark.parametrize(
    "text", ["Commons Clause\n" + MIT, "Modified MIT License\n" + MIT, APACHE + "non-commercial only"]
)
def test_a_text_that_takes_back_what_another_gives_is_neither(text):
    assert license_of(text.encode()) == "other"


def test_a_long_text_is_not_looked_at():
    assert license_of(APACHE.encode() + b" " * MAX_TEXT) == "other"


def found(files, **facts):
    repo = listing(["m-q8_0.gguf", "m-q4_0.gguf", *files], **facts)
    return introspect(repo, Metadata(files={path: text.encode() for path, text in files.items()}))


def rows(findings):
    return {
        (row.subject, row.value, row.evidence, row.trust)
        for row in findings.evidence
        if row.key == "license"
    }


def codes(findings):
    return {each.code for each in findings.warnings if each.code.startswith("license.")}


@pytest.mark.parametrize("path", ["LICENSE", "LICENSE.txt", "license.md", "LICENCE", "COPYING"])
def test_a_licence_file_is_evidence_that_outranks_the_card(path):
    assert path in [file.path for file in metadata_wanted(listing([path]).files)]
    same = found({path: APACHE}, license="apache-2.0")
    assert rows(same) == {
        ("repository", "apache-2.0", "card: license", 30),
        ("repository", "apache-2.0", f"{path}: text", 80),
    }
    assert codes(same) == set()


def test_card_and_file_that_disagree_are_both_told():
    odd = found({"LICENSE": TEXTS["cc-by-nc-4.0"]}, license="mit")
    assert codes(odd) == {"license.conflict", "license.noncommercial"}
    (text,) = [each.text for each in odd.warnings if each.code == "license.conflict"]
    assert "mit (card: license), cc-by-nc-4.0 (LICENSE: text)" in text


def test_a_text_that_is_not_known_is_other_and_denies_those_that_are():
    (row,) = rows(found({"COPYING": TEXTS["other"]}))
    assert row[1:3] == ("other", "COPYING: a text that is none of the known ones")
    assert codes(found({"LICENSE": TEXTS["other"]}, license="mit")) == {"license.conflict"}
    assert codes(found({"LICENSE": TEXTS["other"]}, license="qwen")) == set()


def test_a_file_in_a_folder_is_about_what_lies_in_it():
    files = {"q8/LICENSE": TEXTS["agpl-3.0"], "docs/LICENSE": MIT}
    repo = listing(["q8/m-q8_0.gguf", "q4/m-q4_0.gguf", *files], license="apache-2.0")
    metadata = Metadata(files={path: text.encode() for path, text in files.items()})
    findings = introspect(repo, metadata)
    assert {("folder:q8", "agpl-3.0"), ("folder:docs", "mit")} < {row[:2] for row in rows(findings)}
    (text,) = [each.text for each in findings.warnings if each.code == "license.conflict"]
    assert "agpl-3.0" in text
    assert "mit" not in text


def test_a_file_that_was_not_read_says_nothing():
    assert rows(found({})) == set()
    assert rows(introspect_unread()) == set()


def introspect_unread():
    return introspect(listing(["m-q8_0.gguf", "LICENSE"]), Metadata())
