// Drives the KPL for Java as bench-producer drives ours, and prints the same JSON. Linux only: it reads /proc.
import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

public final class BenchKpl {
    /** The JVM is not measured cold: the window also waits for this many records, but never longer than that. */
    private static final long WARM_RECORDS = 300_000;
    private static final long WARM_NANOS_MAX = 25_000_000_000L;

    private final Map<String, String> options = new HashMap<>();
    private final LongAdder sent = new LongAdder();
    private final LongAdder settled = new LongAdder();
    private final LongAdder failed = new LongAdder();
    /** Of the keys of all records that were put, modulo 2^64. */
    private final LongAdder keySum = new LongAdder();
    private final long[] latencies = new long[1 << 18];
    private final AtomicInteger sampled = new AtomicInteger();
    private KinesisProducer kpl;
    private Semaphore room;
    private volatile boolean measuring;
    private volatile boolean over;

    public static void main(String[] arguments) throws Exception {
        BenchKpl bench = new BenchKpl();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            bench.options.put(arguments[i], arguments[i + 1]);
        }
        bench.run();
        System.exit(0); // The KPL leaves threads behind.
    }

    private String option(String name, String otherwise) {
        return options.getOrDefault("--" + name, otherwise);
    }

    private double number(String name, double otherwise) {
        return Double.parseDouble(option(name, Double.toString(otherwise)));
    }

    private void run() throws Exception {
        room = new Semaphore((int) number("outstanding", 50_000));
        kpl = new KinesisProducer(configuration());
        long jvm = ProcessHandle.current().pid();
        long child = child();

        int threads = (int) number("threads", 1);
        Thread[] senders = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            int seed = i;
            senders[i] = new Thread(() -> send(seed, number("rate", 0) / threads), "sender");
            senders[i].start();
        }
        long start = System.nanoTime();
        long warm = (long) (number("warm", 5) * 1e9);
        while (System.nanoTime() - start < warm
                || settled.sum() < WARM_RECORDS && System.nanoTime() - start < WARM_NANOS_MAX) {
            Thread.sleep(10);
        }
        double jvmBefore = cpu(jvm);
        double childBefore = cpu(child);
        long before = settled.sum();
        long from = System.nanoTime();
        measuring = true;
        long enough = (long) number("records", 0);
        if (enough == 0) {
            Thread.sleep((long) (number("seconds", 5) * 1e3));
        }
        while (settled.sum() - before < enough) {
            Thread.sleep(5);
        }
        double jvmCpu = cpu(jvm) - jvmBefore;
        double childCpu = cpu(child) - childBefore;
        long records = settled.sum() - before;
        double seconds = (System.nanoTime() - from) / 1e9;
        measuring = false;
        over = true;
        double jvmMemory = memory(jvm);
        double childMemory = memory(child);
        for (Thread sender : senders) {
            sender.join();
        }
        kpl.flushSync();

        long[] sorted = Arrays.copyOf(latencies, Math.min(sampled.get(), latencies.length));
        Arrays.sort(sorted);
        System.out.println(String.format(Locale.ROOT,
                "{\"records\":%d,\"seconds\":%.3f,\"cpu_s\":%.2f,\"cpu_jvm_s\":%.2f,\"cpu_native_s\":%.2f,"
                        + "\"cpu_s_per_M\":%.3f,\"records_per_s\":%.0f,\"rss_mb\":%.1f,\"rss_jvm_mb\":%.1f,"
                        + "\"rss_native_mb\":%.1f,\"latency_ms_p50\":%.2f,\"latency_ms_p99\":%.2f,"
                        + "\"records_in_all\":%d,\"key_sum\":%s,\"failed\":%d}",
                records, seconds, jvmCpu + childCpu, jvmCpu, childCpu, (jvmCpu + childCpu) / records * 1e6,
                records / seconds, jvmMemory + childMemory, jvmMemory, childMemory, quantile(sorted, 0.5),
                quantile(sorted, 0.99), sent.sum(), Long.toUnsignedString(keySum.sum()), failed.sum()));
        kpl.destroy();
    }

    private KinesisProducerConfiguration configuration() {
        String[] endpoint = option("endpoint", "").replace("https://", "").split(":");
        long port = Long.parseLong(endpoint[1]);
        return new KinesisProducerConfiguration()
                .setRegion("us-east-1")
                .setKinesisEndpoint(endpoint[0]).setKinesisPort(port)
                .setCloudwatchEndpoint(endpoint[0]).setCloudwatchPort(port)
                .setVerifyCertificate(false)
                .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any")))
                .setMetricsLevel("none")
                .setLogLevel("error")
                .setRateLimit(1_000_000)
                .setAggregationMaxSize((long) number("aggregate", 51_200))
                .setRecordMaxBufferedTime((long) number("linger", 100))
                .setTempDirectory(option("temp", System.getProperty("java.io.tmpdir")));
    }

    /** Puts records as fast as there is room, or so many a second, until the window is over. */
    private void send(int seed, double rate) {
        String stream = option("stream", "bench-1");
        SplittableRandom random = new SplittableRandom(seed);
        byte[] payload = new byte[(int) number("size", 100)];
        random.nextBytes(payload);
        // The linger's question is asked of fewer records, so more of them are looked at.
        int oneIn = rate > 0 ? 16 : 64;
        long start = System.nanoTime();
        for (long n = 0; !over; n++) {
            room.acquireUninterruptibly();
            long ahead = rate > 0 ? start + (long) (n / rate * 1e9) - System.nanoTime() : 0;
            if (ahead > 1_000_000) {
                try {
                    Thread.sleep(ahead / 1_000_000);
                } catch (InterruptedException interrupted) {
                    return;
                }
            }
            long number = random.nextLong() >>> 1;
            String key = Long.toString(number);
            keySum.add(number);
            long at = n % oneIn == 0 && measuring ? System.nanoTime() : 0;
            Futures.addCallback(kpl.addUserRecord(stream, key, ByteBuffer.wrap(payload)), new FutureCallback<>() {
                @Override
                public void onSuccess(UserRecordResult result) {
                    settled.increment();
                    settled(at);
                }

                @Override
                public void onFailure(Throwable error) {
                    failed.increment();
                    settled(0);
                }
            }, MoreExecutors.directExecutor());
            sent.increment();
        }
    }

    private void settled(long at) {
        int slot = at == 0 ? latencies.length : sampled.getAndIncrement();
        if (slot < latencies.length) {
            latencies[slot] = System.nanoTime() - at;
        }
        room.release();
    }

    private static double quantile(long[] sorted, double q) {
        return sorted.length == 0 ? 0 : sorted[(int) Math.min(sorted.length - 1, sorted.length * q)] / 1e6;
    }

    /** The KPL's own process. */
    private static long child() throws InterruptedException {
        for (int i = 0; i < 200; i++) {
            var found = ProcessHandle.current().children()
                    .filter(process -> process.info().command().orElse("").contains("kinesis_producer")).findFirst();
            if (found.isPresent()) {
                return found.get().pid();
            }
            Thread.sleep(50);
        }
        throw new IllegalStateException("the KPL's native process does not start");
    }

    /** CPU seconds of a process, user and system; Linux counts them in hundredths. */
    private static double cpu(long process) throws IOException {
        String stat = Files.readString(Path.of("/proc/" + process + "/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
    }

    /** The most memory that a process has had, in MiB. */
    private static double memory(long process) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/" + process + "/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D+", "")) / 1024.0;
            }
        }
        return 0;
    }
}
