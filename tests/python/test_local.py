#!/usr/bin/env python3
"""Stock boto3 against a Kinesis, DynamoDB and CloudWatch server, by endpoint URL alone.

usage: test_local.py ENDPOINT

Needs Python 3.9 or newer and boto3 (tried with 1.44). With aws-kinesis-agg (tried with 1.2.3, which needs six) it
also takes an aggregate apart with AWS's own library. Prints a line a test and, last, "N passed, N failed".
"""

import base64
import datetime
import hashlib
import json
import pathlib
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "core" / "tests" / "fixtures" / "aggregators"
MIDDLE = 1 << 127


class Local:
    """Clients of one server, and names that nobody else has."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.kinesis = self.client("kinesis")
        self.dynamodb = self.client("dynamodb")
        self.cloudwatch = self.client("cloudwatch")

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=30),
        )

    def stream(self, shards):
        """The name of a new stream that is ACTIVE."""
        name = f"boto3-{uuid.uuid4()}"
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        self.active(name)
        return name

    def active(self, name):
        until("the stream to be ACTIVE", lambda: self.summary(name)["StreamStatus"] == "ACTIVE")

    def summary(self, name):
        return self.kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]

    def shards(self, name, **arguments):
        return self.kinesis.list_shards(StreamName=name, **arguments)["Shards"]

    def drain(self, name, shard_id):
        """All records of a shard, and the last answer."""
        iterator = self.kinesis.get_shard_iterator(
            StreamName=name, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = []
        while True:
            answer = self.kinesis.get_records(ShardIterator=iterator)
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if iterator is None or (not answer["Records"] and answer["MillisBehindLatest"] == 0):
                return records, answer

    def consumer(self, name):
        """The ARN of a new consumer that is ACTIVE."""
        arn = self.kinesis.register_stream_consumer(
            StreamARN=self.summary(name)["StreamARN"], ConsumerName="reports"
        )["Consumer"]["ConsumerARN"]

        def status():
            description = self.kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]
            return description["ConsumerStatus"]

        until("the consumer to be ACTIVE", lambda: status() == "ACTIVE")
        return arn

    def table(self):
        """The name of a new table of leases that is ACTIVE."""
        name = f"boto3-{uuid.uuid4()}"
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        until(
            "the table to be ACTIVE",
            lambda: self.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE",
        )
        return name


def until(awaited, holds):
    """Waits until something holds, half a minute at most."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {awaited}")


def same(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, not {expected!r}")


def refused(code, call):
    try:
        answer = call()
    except ClientError as error:
        same("code of the refusal", error.response["Error"]["Code"], code)
        return error.response
    raise AssertionError(f"accepted, not refused with {code}: {answer!r}")


def records_are_put_listed_and_read_by_the_shard_that_owns_their_key(local):
    name = local.stream(4)
    shards = local.shards(name)
    entries = [{"Data": f"data-{i}".encode(), "PartitionKey": f"key-{i}-é"} for i in range(100)]
    answer = local.kinesis.put_records(StreamName=name, Records=entries)
    same("FailedRecordCount", answer["FailedRecordCount"], 0)
    for entry, result in zip(entries, answer["Records"]):
        digest = int(hashlib.md5(entry["PartitionKey"].encode()).hexdigest(), 16)
        owner = [
            shard["ShardId"]
            for shard in shards
            if int(shard["HashKeyRange"]["StartingHashKey"]) <= digest <= int(shard["HashKeyRange"]["EndingHashKey"])
        ]
        same(entry["PartitionKey"], [result["ShardId"]], owner)
    read = [record for shard in shards for record in local.drain(name, shard["ShardId"])[0]]
    same("data", sorted(record["Data"] for record in read), sorted(entry["Data"] for entry in entries))


def one_record_is_put_by_arn_and_read_from_its_number(local):
    name = local.stream(1)
    arn = local.summary(name)["StreamARN"]
    local.kinesis.put_record(StreamARN=arn, Data=b"first", PartitionKey="a")
    second = local.kinesis.put_record(StreamARN=arn, Data=b"\x00\xff", PartitionKey="a")
    iterator = local.kinesis.get_shard_iterator(
        StreamARN=arn,
        ShardId=second["ShardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=second["SequenceNumber"],
    )["ShardIterator"]
    records = local.kinesis.get_records(ShardIterator=iterator)["Records"]
    same("data", [record["Data"] for record in records], [b"\x00\xff"])
    if not isinstance(records[0]["ApproximateArrivalTimestamp"], datetime.datetime):
        raise AssertionError("the time of arrival is no time")


def shards_are_listed_page_by_page(local):
    name = local.stream(7)
    page = local.kinesis.list_shards(StreamName=name, MaxResults=3)
    sizes, ids = [], []
    while True:
        sizes.append(len(page["Shards"]))
        ids += [shard["ShardId"] for shard in page["Shards"]]
        if "NextToken" not in page:
            break
        page = local.kinesis.list_shards(NextToken=page["NextToken"], MaxResults=3)
    same("shards of each page", sizes, [3, 3, 1])
    same("ids", ids, [f"shardId-{number:012}" for number in range(7)])


def a_split_shard_is_read_to_its_end_and_names_its_children(local):
    name = local.stream(1)
    for number in range(5):
        local.kinesis.put_record(StreamName=name, Data=str(number).encode(), PartitionKey="a")
    parent = local.shards(name)[0]["ShardId"]
    local.kinesis.split_shard(StreamName=name, ShardToSplit=parent, NewStartingHashKey=str(MIDDLE))
    local.active(name)
    children = [shard["ShardId"] for shard in local.shards(name, ShardFilter={"Type": "AT_LATEST"})]
    same("children", len(children), 2)
    records, last = local.drain(name, parent)
    same("data", [record["Data"] for record in records], [b"0", b"1", b"2", b"3", b"4"])
    same("NextShardIterator", last.get("NextShardIterator"), None)
    same("ChildShards", [child["ShardId"] for child in last["ChildShards"]], children)
    for shard in last["ChildShards"]:
        same("ParentShards", shard["ParentShards"], [parent])


def a_subscription_is_sent_records_and_ends_when_its_shard_is_split(local):
    name = local.stream(1)
    consumer = local.consumer(name)
    shard = local.shards(name)[0]["ShardId"]
    local.kinesis.put_record(StreamName=name, Data=b"old", PartitionKey="a")
    subscription = local.kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"}
    )["EventStream"]
    data, children = [], []
    for event in subscription:
        event = event["SubscribeToShardEvent"]
        records = [record["Data"] for record in event["Records"]]
        data += records
        children += [child["ShardId"] for child in event.get("ChildShards", [])]
        if b"old" in records:
            local.kinesis.put_record(StreamName=name, Data=b"new", PartitionKey="a")
        if b"new" in records:
            local.kinesis.split_shard(StreamName=name, ShardToSplit=shard, NewStartingHashKey=str(MIDDLE))
    same("data", data, [b"old", b"new"])
    local.active(name)
    same("children", children, [shard["ShardId"] for shard in local.shards(name)[1:]])


def a_second_subscription_within_five_seconds_is_refused(local):
    name = local.stream(1)
    consumer = local.consumer(name)
    shard = local.shards(name)[0]["ShardId"]

    def subscribe():
        return local.kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=shard, StartingPosition={"Type": "LATEST"}
        )

    subscription = subscribe()["EventStream"]
    refused("ResourceInUseException", subscribe)
    subscription.close()


def refusals_carry_the_codes_that_boto3_has_exceptions_for(local):
    try:
        local.kinesis.put_record(StreamName="no-such-stream", Data=b"x", PartitionKey="a")
    except local.kinesis.exceptions.ResourceNotFoundException as error:
        same("status", error.response["ResponseMetadata"]["HTTPStatusCode"], 400)
    else:
        raise AssertionError("a stream that does not exist takes records")
    refused("InvalidArgumentException", lambda: local.kinesis.get_records(ShardIterator="AAAA"))


def leases_are_taken_by_conditional_writes(local):
    table = local.table()
    lease = {"leaseKey": {"S": "shard-0"}, "leaseCounter": {"N": "0"}}

    def put():
        return local.dynamodb.put_item(
            TableName=table,
            Item=lease,
            ConditionExpression="attribute_not_exists(leaseKey)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    put()
    same("the item that is there", refused("ConditionalCheckFailedException", put)["Item"], lease)

    def take(counter):
        return local.dynamodb.update_item(
            TableName=table,
            Key={"leaseKey": {"S": "shard-0"}},
            UpdateExpression="SET leaseOwner = :owner, leaseCounter = leaseCounter + :one",
            ConditionExpression="leaseCounter = :counter",
            ExpressionAttributeValues={
                ":owner": {"S": "worker-1"},
                ":one": {"N": "1"},
                ":counter": {"N": str(counter)},
            },
            ReturnValues="ALL_NEW",
        )["Attributes"]

    same("counter", take(0)["leaseCounter"], {"N": "1"})
    refused("ConditionalCheckFailedException", lambda: take(0))
    # In the words of KCL 1 and 2.
    checkpoint = {
        "TableName": table,
        "Key": {"leaseKey": {"S": "shard-0"}},
        "AttributeUpdates": {"checkpoint": {"Value": {"S": "TRIM_HORIZON"}, "Action": "PUT"}},
        "Expected": {"leaseCounter": {"Value": {"N": "1"}}, "leaseOwner": {"Value": {"S": "worker-1"}}},
    }
    local.dynamodb.update_item(**checkpoint)
    checkpoint["Expected"]["leaseOwner"] = {"Value": {"S": "worker-2"}}
    refused("ConditionalCheckFailedException", lambda: local.dynamodb.update_item(**checkpoint))
    item = local.dynamodb.get_item(TableName=table, Key={"leaseKey": {"S": "shard-0"}}, ConsistentRead=True)["Item"]
    same("checkpoint", item["checkpoint"], {"S": "TRIM_HORIZON"})
    local.dynamodb.delete_table(TableName=table)


def metrics_are_taken_in_every_form(local):
    dimensions = [{"Name": "StreamName", "Value": "orders"}]
    statistics = {"SampleCount": 3, "Sum": 6, "Minimum": 1, "Maximum": 3}
    local.cloudwatch.put_metric_data(
        Namespace=f"boto3-{uuid.uuid4()}",
        MetricData=[
            {"MetricName": "Retries", "Value": 1.5, "Unit": "Count", "Dimensions": dimensions},
            {"MetricName": "UserRecordsPut", "StatisticValues": statistics, "Unit": "Count", "Dimensions": dimensions},
            {"MetricName": "RequestTime", "Values": [1.0, 2.0], "Counts": [3, 1], "Unit": "Milliseconds"},
            {"MetricName": "Now", "Value": 1.0, "Timestamp": datetime.datetime.now(datetime.timezone.utc)},
        ],
    )
    data = [{"MetricName": f"metric-{number}", "Value": 1.0} for number in range(1001)]
    local.cloudwatch.put_metric_data(Namespace="boto3", MetricData=data[:1000])
    try:
        local.cloudwatch.put_metric_data(Namespace="boto3", MetricData=data)
    except ClientError:
        return
    raise AssertionError("more than a thousand data in one call are accepted")


def aggregates_are_taken_apart_by_the_library_of_aws(local):
    from aws_kinesis_agg.deaggregator import iter_deaggregate_records

    cases = json.loads((FIXTURES / "cases.json").read_text(encoding="utf-8"))
    aggregates = json.loads((FIXTURES / "python.json").read_text(encoding="utf-8"))
    for case, expected in cases.items():
        name = local.stream(1)
        local.kinesis.put_record(StreamName=name, Data=base64.b64decode(aggregates[case]), PartitionKey="a")
        records, _ = local.drain(name, local.shards(name)[0]["ShardId"])
        same(f"{case}: Kinesis records", len(records), 1)
        # Without explicit hash keys: the library gives a record that has none the first of its aggregate.
        taken_apart = [
            (record["kinesis"]["partitionKey"], base64.b64decode(record["kinesis"]["data"]))
            for record in iter_deaggregate_records(records, "Boto3")
        ]
        put = [(record["key"], base64.b64decode(record["data"])) for record in expected]
        same(case, taken_apart, put)
        local.kinesis.delete_stream(StreamName=name)


TESTS = [
    records_are_put_listed_and_read_by_the_shard_that_owns_their_key,
    one_record_is_put_by_arn_and_read_from_its_number,
    shards_are_listed_page_by_page,
    a_split_shard_is_read_to_its_end_and_names_its_children,
    a_subscription_is_sent_records_and_ends_when_its_shard_is_split,
    a_second_subscription_within_five_seconds_is_refused,
    refusals_carry_the_codes_that_boto3_has_exceptions_for,
    leases_are_taken_by_conditional_writes,
    metrics_are_taken_in_every_form,
]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: test_local.py ENDPOINT")
    local = Local(sys.argv[1])
    tests = list(TESTS)
    try:
        import aws_kinesis_agg.deaggregator  # noqa: F401
    except ImportError as error:
        print(f"left out   aggregates: {error}")
    else:
        tests.append(aggregates_are_taken_apart_by_the_library_of_aws)
    failed = 0
    for test in tests:
        try:
            test(local)
        except Exception as error:  # whatever it is, the others still run
            failed += 1
            print(f"FAILED     {test.__name__}: {type(error).__name__}: {error}")
        else:
            print(f"passed     {test.__name__}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
