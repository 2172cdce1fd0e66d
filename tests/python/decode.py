#!/usr/bin/env python3
"""Takes apart with AWS's own library what Shardflow's producer has left in a stream that was split twice.

usage: decode.py FILE

The file is what `cargo run --bin splits` prints. Needs aws-kinesis-agg (tried with 1.2.3, which needs six). Prints a line a
test and, last, "N passed, N failed".
"""

import base64
import hashlib
import sys

from aws_kinesis_agg.deaggregator import deaggregate_records


class Stream:
    """The file, decoded."""

    def __init__(self, path):
        self.put, self.ranges, self.again = {}, {}, None
        # Of each user record: whether it came inside its shard's range, and with which record of the stream.
        self.copies = {}
        with open(path, encoding="utf-8") as lines:
            for kind, *fields in (line.rstrip("\n").split("\t") for line in lines):
                getattr(self, "read_" + kind)(*fields)

    def read_put(self, data, key, explicit):
        self.put[data] = (key, explicit)

    def read_again(self, count):
        self.again = int(count)

    def read_shard(self, shard, start, end):
        self.ranges[shard] = range(int(start), int(end) + 1)

    def read_record(self, shard, sequence, key, data):
        # As a Lambda gets it: the library copies all of these fields.
        record = {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": key,
                "sequenceNumber": sequence,
                "data": data,
                "approximateArrivalTimestamp": 0,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{sequence}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "",
            "awsRegion": "us-east-1",
            "eventSourceARN": "",
        }
        for user in deaggregate_records([record]):
            found = user["kinesis"]
            data = base64.b64decode(found["data"]).decode()
            inside = not found.get("aggregated") or self.hash_key(data, found) in self.ranges[shard]
            copy = (inside, sequence, found["partitionKey"], found.get("explicitHashKey"))
            self.copies.setdefault(data, []).append(copy)

    def hash_key(self, data, found):
        """By what was put: the library gives a record without explicit hash key the first of its aggregate."""
        key, explicit = self.put[data]
        if explicit != "-":
            return int(explicit)
        if key == "-":
            # A keyless record has the place that the producer gave to it.
            return int(found["explicitHashKey"])
        return int(hashlib.md5(key.encode()).hexdigest(), 16)


def every_record_is_found_with_its_keys(stream):
    assert stream.copies.keys() == stream.put.keys()
    for data, (key, explicit) in stream.put.items():
        for _, _, found, found_explicit in stream.copies[data]:
            assert found == key, (data, found, key)
            assert explicit == "-" or found_explicit == explicit, (data, found_explicit, explicit)


def every_record_is_found_inside_its_own_shard(stream):
    for data, copies in stream.copies.items():
        assert any(inside for inside, *_ in copies), data


def all_of_an_aggregate_with_records_out_of_range_was_sent_again(stream):
    misplaced = {sequence for copies in stream.copies.values() for inside, sequence, *_ in copies if not inside}
    in_them = [data for data, copies in stream.copies.items() if any(copy[1] in misplaced for copy in copies)]
    assert len(misplaced) > 0
    assert len(in_them) == stream.again, (len(in_them), stream.again)
    for data, copies in stream.copies.items():
        assert len(copies) == 1 + sum(copy[1] in misplaced for copy in copies), (data, copies)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: decode.py FILE")
    stream = Stream(sys.argv[1])
    tests = [
        every_record_is_found_with_its_keys,
        every_record_is_found_inside_its_own_shard,
        all_of_an_aggregate_with_records_out_of_range_was_sent_again,
    ]
    failed = 0
    for test in tests:
        try:
            test(stream)
        except AssertionError as error:
            failed += 1
            print(f"FAILED     {test.__name__}: {error}")
        else:
            print(f"passed     {test.__name__}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
