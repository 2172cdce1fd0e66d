// Takes apart with the KCL's own code what Shardflow's producer has left in a stream that was split twice.
//
// usage: Decode FILE, which is what `cargo run --bin splits` prints.
// Prints a line a test and, last, "N passed, N failed".

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

public class Decode {
    private static final String LAST = BigInteger.ONE.shiftLeft(128).subtract(BigInteger.ONE).toString();

    private final AggregatorUtil aggregates = new AggregatorUtil();
    private final Map<String, String[]> put = new HashMap<>();
    private final Map<String, String[]> ranges = new HashMap<>();
    /** What a KCL gives to its application. */
    private final Map<String, List<KinesisClientRecord>> given = new HashMap<>();
    private int again;
    /** User records of aggregates that a KCL drops. */
    private int dropped;

    public static void main(String[] arguments) throws Exception {
        Decode stream = new Decode();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            stream.read(line.split("\t"));
        }
        int failed = 0;
        failed += report("every record is given once", stream.everyRecordIsGivenOnce());
        failed += report("every record has its keys", stream.everyRecordHasItsKeys());
        failed += report("what is dropped was sent again", stream.dropped > 0 && stream.dropped == stream.again);
        System.out.println(3 - failed + " passed, " + failed + " failed");
        System.exit(failed);
    }

    private static int report(String test, boolean passed) {
        System.out.println((passed ? "passed     " : "FAILED     ") + test);
        return passed ? 0 : 1;
    }

    private void read(String[] fields) {
        switch (fields[0]) {
            case "put" -> put.put(fields[1], new String[] {fields[2], fields[3]});
            case "again" -> again = Integer.parseInt(fields[1]);
            case "shard" -> ranges.put(fields[1], new String[] {fields[2], fields[3]});
            case "record" -> {
                String[] range = ranges.get(fields[1]);
                List<KinesisClientRecord> records = takeApart(fields, range[0], range[1]);
                dropped += takeApart(fields, "0", LAST).size() - records.size();
                for (KinesisClientRecord record : records) {
                    String data = StandardCharsets.UTF_8.decode(record.data().duplicate()).toString();
                    given.computeIfAbsent(data, key -> new ArrayList<>()).add(record);
                }
            }
            default -> throw new IllegalArgumentException(fields[0]);
        }
    }

    private List<KinesisClientRecord> takeApart(String[] fields, String start, String end) {
        KinesisClientRecord record = KinesisClientRecord.builder()
                .sequenceNumber(fields[2])
                .partitionKey(fields[3])
                .data(ByteBuffer.wrap(Base64.getDecoder().decode(fields[4])))
                .build();
        return aggregates.deaggregate(List.of(record), start, end);
    }

    private boolean everyRecordIsGivenOnce() {
        return given.keySet().equals(put.keySet()) && given.values().stream().allMatch(copies -> copies.size() == 1);
    }

    private boolean everyRecordHasItsKeys() {
        return given.entrySet().stream().allMatch(entry -> {
            String[] keys = put.get(entry.getKey());
            KinesisClientRecord record = entry.getValue().get(0);
            // A keyless record has the place that the producer gave to it.
            boolean explicit = keys[1].equals("-")
                    ? keys[0].equals("-") || record.explicitHashKey() == null
                    : keys[1].equals(record.explicitHashKey());
            return keys[0].equals(record.partitionKey()) && explicit;
        });
    }
}
