"""A processor that was written for amazon_kclpy: only the two imports are others.

    python examples/python/from_kclpy.py                                        # on a Kinesis within this process
    python -m shardflow.kcl sample.properties examples/python/from_kclpy.py     # in the place of the MultiLangDaemon
"""

import os
import threading

import shardflow
from shardflow import kcl  # from amazon_kclpy import kcl
from shardflow.kcl import processor  # from amazon_kclpy.v3 import processor


class RecordProcessor(processor.RecordProcessorBase):
    def __init__(self):
        self.largest = (None, None)

    def initialize(self, initialize_input):
        print(f"{initialize_input.shard_id} begins at {initialize_input.sequence_number}")

    def process_records(self, process_records_input):
        for record in process_records_input.records:
            print(record.partition_key, record.binary_data.decode())
            self.largest = (record.sequence_number, record.sub_sequence_number)
        try:
            process_records_input.checkpointer.checkpoint(*self.largest)
        except kcl.CheckpointError as error:
            print("no checkpoint:", error.value)

    def lease_lost(self, lease_lost_input):
        print("another worker has it")

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input):
        shutdown_requested_input.checkpointer.checkpoint()
        print("bye")


if __name__ == "__main__":
    if kcl.PROPERTIES in os.environ:
        kcl.KCLProcess(RecordProcessor()).run()
    else:
        with shardflow.LocalKinesis() as kinesis:
            kinesis.create_stream("orders")
            kinesis.put("orders", b"tea", "ada")
            process = kcl.KCLProcess(
                RecordProcessor(), streams="orders", app="sample", start="TRIM_HORIZON", **kinesis.client
            )
            threading.Timer(3, process.consumer.stop).start()
            process.run()
