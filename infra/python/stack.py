"""Lets a deployment of template.yaml into an emulator of AWS fail, and looks into the emulator.

    stack.py fail NAME FOLDER PARAMETER=VALUE …     deploys FOLDER/{api,dispatcher,ticker}.zip where the name of the event bus is
                                                    taken; deletes what failed, and prints what is left
    stack.py left PREFIX                            prints what exists with this prefix, as JSON
    stack.py ask SERVICE OPERATION JSON             calls one operation of an AWS API and prints its answer as JSON

The endpoint and the credentials are those of the environment, as for every AWS tool.
"""

import json
import os
import pathlib
import sys
import time

import boto3
from botocore.exceptions import ClientError

ROOT = pathlib.Path(__file__).resolve().parents[2]
HANDLERS = ("api", "dispatcher", "ticker")
PATIENCE = 120


# What outlives the stack.
KEPT = "TasksTable, CredentialsTable, FunctionsTable, SchedulesTable, ControlTable, ApiRequestsTable, SecretsKey"


def fail(name, folder, *parameters):
    prefix = dict(text.split("=", 1) for text in parameters)["Prefix"]
    template = uploaded(name, folder)
    bus = "  EventBus:\n    Type: AWS::Events::EventBus\n"
    assert bus in template, "template.yaml has no event bus"
    # The bus is made after everything that outlives the stack, so that all of it exists when the deployment fails.
    template = template.replace(bus, f"{bus}    DependsOn: [{KEPT}]\n")
    events = boto3.client("events")
    events.create_event_bus(Name=prefix)
    stack = create(name, template, parameters)
    events.delete_event_bus(Name=prefix)
    if stack["StackStatus"] != "ROLLBACK_COMPLETE":
        sys.exit(f"{stack['StackStatus']}: {stack.get('StackStatusReason')}")
    kept = left(prefix)
    delete(name)
    return {"tables": kept["tables"], "keys": kept["keys"]}


def uploaded(name, folder):
    """The template, with the handlers in a bucket."""
    s3 = boto3.client("s3")
    bucket = artifacts(name)
    region = os.environ["AWS_REGION"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    template = (ROOT / "template.yaml").read_text()
    for handler in HANDLERS:
        s3.upload_file(f"{folder}/{handler}.zip", bucket, f"{handler}.zip")
        local = f"CodeUri: functions/{handler}\n"
        assert local in template, f"template.yaml has no line '{local.strip()}'"
        template = template.replace(local, f"CodeUri: s3://{bucket}/{handler}.zip\n")
    return template


def create(name, template, parameters):
    """The stack once it is stable."""
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in (text.split("=", 1) for text in parameters)
        ],
    )
    return settled(cloudformation, name)


def delete(name):
    cloudformation, s3 = boto3.client("cloudformation"), boto3.client("s3")
    cloudformation.delete_stack(StackName=name)
    stack = settled(cloudformation, name)
    if stack and stack["StackStatus"] != "DELETE_COMPLETE":
        sys.exit(f"{stack['StackStatus']}: {stack.get('StackStatusReason')}")
    bucket = artifacts(name)
    for handler in HANDLERS:
        s3.delete_object(Bucket=bucket, Key=f"{handler}.zip")
    s3.delete_bucket(Bucket=bucket)


def artifacts(name):
    return f"{name}-artifacts"


def settled(cloudformation, name):
    """The stack once it is stable; None if it is gone."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        if time.monotonic() > deadline:
            sys.exit(f"{name} is still {stack['StackStatus']}")
        time.sleep(0.2)


def left(prefix):
    """Names by kind. Roles and buckets are named by CloudFormation, after the stack."""

    def names(service, operation, things, name=None):
        pages = boto3.client(service).get_paginator(operation).paginate()
        found = (thing[name] if name else thing for page in pages for thing in page.get(things, []))
        return sorted(full for full in found if is_ours(full))

    def is_ours(full):
        last = full.rsplit("/", 1)[-1]
        return last == prefix or last.startswith((f"{prefix}-", f"handler-{prefix}-", f"stack-{prefix}-"))

    mappings = boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return {
        "tables": names("dynamodb", "list_tables", "TableNames"),
        "functions": names("lambda", "list_functions", "Functions", "FunctionName"),
        "event source mappings": sorted(m["EventSourceArn"] for m in mappings if f":{prefix}-" in m["EventSourceArn"]),
        "queues": names("sqs", "list_queues", "QueueUrls"),
        "buses": sorted(b["Name"] for b in boto3.client("events").list_event_buses()["EventBuses"] if is_ours(b["Name"])),
        "schedules": names("scheduler", "list_schedules", "Schedules", "Name"),
        "logs": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "gateways": names("apigatewayv2", "get_apis", "Items", "Name"),
        "buckets": sorted(b["Name"] for b in boto3.client("s3").list_buckets()["Buckets"] if is_ours(b["Name"])),
        "roles": names("iam", "list_roles", "Roles", "RoleName"),
        "keys": names("kms", "list_aliases", "Aliases", "AliasName"),
        "alarms": names("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "dashboards": names("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    }


def ask(service, operation, arguments):
    answer = getattr(boto3.client(service), operation)(**json.loads(arguments))
    answer.pop("ResponseMetadata", None)
    return answer


if __name__ == "__main__":
    command = {"fail": fail, "left": left, "ask": ask}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:]), default=str))
