# SPDX-License-Identifier: Apache-2.0
"""Judges openapi.yaml by its specification, and the examples of both documents by their schemas.

check.py OPENAPI ASYNCAPI: prints what is wrong; exit 1 if anything is.
"""
import sys

import jsonschema
import yaml
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from openapi_spec_validator import OpenAPIV30SpecValidator

bad = 0


def complain(text):
    global bad
    bad = 1
    print(text)


def resolve(document, node):
    """The node with all its references followed; there are no cycles in ours."""
    if isinstance(node, list):
        return [resolve(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: resolve(document, value) for key, value in node.items()}
    target = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return resolve(document, target)


def judge(validator, where, examples):
    for example in examples:
        for error in validator.iter_errors(example):
            complain(f"{where}: example {example!r}: {error.message.splitlines()[0]}")


def examples_of(holder):
    named = [example["value"] for example in holder.get("examples", {}).values()]
    return named + ([holder["example"]] if "example" in holder else [])


def judge_holder(where, holder):
    judge(OAS30Validator(holder["schema"], format_checker=oas30_format_checker), where, examples_of(holder))


def check_operation(where, operation):
    for parameter in operation.get("parameters", []):
        judge_holder(f"{where} parameter {parameter['name']}", parameter)
        if not examples_of(parameter):
            complain(f"{where} parameter {parameter['name']}: no example")
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        judge_holder(f"{where} body {kind}", media)
    for status, response in operation["responses"].items():
        for kind, media in response.get("content", {}).items():
            judge_holder(f"{where} {status} {kind}", media)
            # The page's own files are no use as examples.
            if not examples_of(media) and "page" not in operation["tags"]:
                complain(f"{where} {status} {kind}: no example")
    if "default" not in operation["responses"] or "403" not in operation["responses"]:
        complain(f"{where}: how it is refused is not told")


def check_openapi(path):
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for error in OpenAPIV30SpecValidator(document).iter_errors():
        complain(f"{path}: {'/'.join(map(str, error.path))}: {error.message.splitlines()[0]}")
    if bad:
        return
    for route, methods in resolve(document, document["paths"]).items():
        for method, operation in methods.items():
            check_operation(f"{path}: {method} {route}", operation)


def check_asyncapi(path):
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for name, message in document["components"]["messages"].items():
        schema = resolve(document, message["payload"])
        jsonschema.Draft7Validator.check_schema(schema)
        payloads = [example["payload"] for example in message.get("examples", [])]
        judge(jsonschema.Draft7Validator(schema), f"{path}: {name}", payloads)
        if not payloads:
            complain(f"{path}: {name}: no example")
    used = {m["$ref"] for o in document["operations"].values() for m in o["messages"]}
    for channel, value in document["channels"].items():
        for name in value["messages"]:
            if f"#/channels/{channel}/messages/{name}" not in used:
                complain(f"{path}: {name} of {channel} is neither sent nor received")


check_openapi(sys.argv[1])
check_asyncapi(sys.argv[2])
sys.exit(bad)
