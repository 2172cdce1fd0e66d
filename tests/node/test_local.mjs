// Stock @aws-sdk/client-kinesis against a Kinesis server, by endpoint URL alone.
//
// usage: node test_local.mjs ENDPOINT
//
// Needs Node 18 or newer, @aws-sdk/client-kinesis 3 (tried with 3.1143) and @smithy/node-http-handler 4. Each test runs
// twice: with the client's own handler, which speaks HTTP/2, and with one that speaks HTTP/1.1. Prints a line a test and,
// last, "N passed, N failed".

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import {
  CreateStreamCommand,
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SplitShardCommand,
  SubscribeToShardCommand,
} from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const MIDDLE = (2n ** 127n).toString();
const text = (bytes) => Buffer.from(bytes).toString();

/** Waits until something holds, half a minute at most. */
async function until(awaited, holds) {
  for (let look = 0; look < 600; look++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited in vain for ${awaited}`);
}

/** A client of a server, and what tests do with it. */
class Local {
  constructor(endpoint, options) {
    const credentials = { accessKeyId: "any", secretAccessKey: "any" };
    this.client = new KinesisClient({ endpoint, region: "us-east-1", maxAttempts: 1, credentials, ...options });
  }

  send(command) {
    return this.client.send(command);
  }

  async stream(shards) {
    const name = `node-${randomUUID()}`;
    await this.send(new CreateStreamCommand({ StreamName: name, ShardCount: shards }));
    await this.active(name);
    return name;
  }

  async active(name) {
    await until("the stream to be ACTIVE", async () => (await this.summary(name)).StreamStatus === "ACTIVE");
  }

  async summary(name) {
    const answer = await this.send(new DescribeStreamSummaryCommand({ StreamName: name }));
    return answer.StreamDescriptionSummary;
  }

  async shards(name) {
    return (await this.send(new ListShardsCommand({ StreamName: name }))).Shards;
  }

  put(name, data) {
    const record = { StreamName: name, Data: Buffer.from(data), PartitionKey: "a" };
    return this.send(new PutRecordCommand(record));
  }

  split(name, shard) {
    return this.send(new SplitShardCommand({ StreamName: name, ShardToSplit: shard, NewStartingHashKey: MIDDLE }));
  }

  /** All records of a shard, and the last answer. */
  async drain(name, shard) {
    const from = { StreamName: name, ShardId: shard, ShardIteratorType: "TRIM_HORIZON" };
    let iterator = (await this.send(new GetShardIteratorCommand(from))).ShardIterator;
    const records = [];
    for (;;) {
      const answer = await this.send(new GetRecordsCommand({ ShardIterator: iterator }));
      records.push(...answer.Records);
      iterator = answer.NextShardIterator;
      if (!iterator || (answer.Records.length === 0 && answer.MillisBehindLatest === 0)) {
        return { records, last: answer };
      }
    }
  }

  /** The ARN of a new consumer that is ACTIVE. */
  async consumer(name) {
    const { StreamARN } = await this.summary(name);
    const register = new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "reports" });
    const { ConsumerARN } = (await this.send(register)).Consumer;
    await until("the consumer to be ACTIVE", async () => {
      const answer = await this.send(new DescribeStreamConsumerCommand({ ConsumerARN }));
      return answer.ConsumerDescription.ConsumerStatus === "ACTIVE";
    });
    return ConsumerARN;
  }

  async subscribe(consumer, shard, type) {
    const subscribe = { ConsumerARN: consumer, ShardId: shard, StartingPosition: { Type: type } };
    return (await this.send(new SubscribeToShardCommand(subscribe))).EventStream;
  }
}

const TESTS = {
  async "records are put, listed and read by the shard that owns their key"(local) {
    const name = await local.stream(4);
    const shards = await local.shards(name);
    assert.equal(shards.length, 4);
    const Records = Array.from({ length: 100 }, (_, number) => ({
      Data: Buffer.from(`data-${number}`),
      PartitionKey: `key-${number}-é`,
    }));
    const answer = await local.send(new PutRecordsCommand({ StreamName: name, Records }));
    assert.equal(answer.FailedRecordCount, 0);
    for (const [place, { PartitionKey }] of Records.entries()) {
      const hash = BigInt(`0x${createHash("md5").update(PartitionKey).digest("hex")}`);
      const owner = shards.find(
        ({ HashKeyRange }) => BigInt(HashKeyRange.StartingHashKey) <= hash && hash <= BigInt(HashKeyRange.EndingHashKey),
      );
      assert.equal(answer.Records[place].ShardId, owner.ShardId, PartitionKey);
    }
    const read = [];
    for (const { ShardId } of shards) read.push(...(await local.drain(name, ShardId)).records);
    const data = (records) => records.map((record) => text(record.Data)).sort();
    assert.deepEqual(data(read), data(Records));
    assert.ok(read.every((record) => record.ApproximateArrivalTimestamp instanceof Date));
  },

  async "a split shard is read to its end and names its children"(local) {
    const name = await local.stream(1);
    for (const data of ["0", "1", "2"]) await local.put(name, data);
    const [{ ShardId: parent }] = await local.shards(name);
    await local.split(name, parent);
    await local.active(name);
    const [, ...children] = await local.shards(name);
    const { records, last } = await local.drain(name, parent);
    assert.deepEqual(records.map((record) => text(record.Data)), ["0", "1", "2"]);
    assert.equal(last.NextShardIterator, undefined);
    assert.deepEqual(last.ChildShards.map((child) => child.ShardId), children.map((child) => child.ShardId));
    assert.deepEqual(last.ChildShards.map((child) => child.ParentShards), [[parent], [parent]]);
  },

  async "a subscription is sent records and ends when its shard is split"(local) {
    const name = await local.stream(1);
    const consumer = await local.consumer(name);
    const [{ ShardId: shard }] = await local.shards(name);
    await local.put(name, "old");
    const data = [];
    const children = [];
    for await (const { SubscribeToShardEvent: event } of await local.subscribe(consumer, shard, "TRIM_HORIZON")) {
      const records = event.Records.map((record) => text(record.Data));
      data.push(...records);
      children.push(...(event.ChildShards ?? []).map((child) => child.ShardId));
      if (records.includes("old")) await local.put(name, "new");
      if (records.includes("new")) await local.split(name, shard);
    }
    assert.deepEqual(data, ["old", "new"]);
    await local.active(name);
    assert.deepEqual(children, (await local.shards(name)).slice(1).map((child) => child.ShardId));
  },

  async "a second subscription within five seconds is refused"(local) {
    const name = await local.stream(1);
    const consumer = await local.consumer(name);
    const [{ ShardId: shard }] = await local.shards(name);
    const first = await local.subscribe(consumer, shard, "TRIM_HORIZON");
    await assert.rejects(local.subscribe(consumer, shard, "TRIM_HORIZON"), { name: "ResourceInUseException" });
    await local.put(name, "still open");
    for await (const { SubscribeToShardEvent: event } of first) {
      if (event.Records.length > 0) {
        assert.deepEqual(event.Records.map((record) => text(record.Data)), ["still open"]);
        break;
      }
    }
  },

  async "refusals are the exceptions of the client"(local) {
    await assert.rejects(local.put("no-such-stream", "x"), { name: "ResourceNotFoundException" });
    const garbage = new GetRecordsCommand({ ShardIterator: "AAAA" });
    await assert.rejects(local.send(garbage), { name: "InvalidArgumentException" });
  },
};

const [endpoint, ...rest] = process.argv.slice(2);
if (!endpoint || rest.length > 0) {
  console.error("usage: node test_local.mjs ENDPOINT");
  process.exit(2);
}
const HANDLERS = {
  "HTTP/2": {},
  "HTTP/1.1": { requestHandler: new NodeHttpHandler() },
};
let passed = 0;
let failed = 0;
for (const [protocol, options] of Object.entries(HANDLERS)) {
  for (const [name, test] of Object.entries(TESTS)) {
    // A client each: a subscription that is left open must not keep the next test's calls waiting.
    const local = new Local(endpoint, options);
    try {
      await test(local);
      passed++;
      console.log(`passed     ${protocol}: ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED     ${protocol}: ${name}: ${error.name}: ${error.message}`);
    } finally {
      local.client.destroy();
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
