// A worker of the KCL for Java with default settings: the other side of `bench-consumer work`.
//
// usage: BenchKcl --endpoint URL --stream NAME --application NAME [--warm RECORDS --until RECORDS]
// Prints a line for each shard that it begins. With --until it ends after so many records with a JSON object of what those
// behind the first --warm have cost, and without it when standard input ends.

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

public class BenchKcl {
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private static final AtomicLong records = new AtomicLong();
    private static final AtomicLong bytes = new AtomicLong();
    private static long warm;
    private static long until;
    /** CPU time, in nanoseconds, and the number of records when the warm-up was over. */
    private static long warmCpu;
    private static long warmRecords;

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        URI endpoint = URI.create(options.get("--endpoint"));
        String stream = options.get("--stream");
        warm = Long.parseLong(options.getOrDefault("--warm", "0"));
        until = Long.parseLong(options.getOrDefault("--until", String.valueOf(Long.MAX_VALUE)));

        StaticCredentialsProvider credentials =
                StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "any"));
        KinesisAsyncClient kinesis = KinesisAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(credentials)
                // As the KCL's own client, but for HTTP/2, which needs TLS.
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1).maxConcurrency(1_000))
                .build();
        DynamoDbAsyncClient leases = DynamoDbAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(credentials)
                .build();
        CloudWatchAsyncClient metrics = CloudWatchAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(credentials)
                .build();
        InitialPositionInStreamExtended start =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(stream, start),
                options.get("--application"),
                kinesis,
                leases,
                metrics,
                "java",
                Reader::new);
        // It would look for the CPU's metrics on the network.
        var leaseManagement = configs.leaseManagementConfig();
        leaseManagement.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true);
        Scheduler scheduler = new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig(),
                leaseManagement,
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(new PollingConfig(stream, kinesis)));
        Thread worker = new Thread(scheduler, "worker");
        worker.setDaemon(true);
        worker.start();
        while (System.in.read() >= 0) {
            // Only its end is waited for.
        }
        Runtime.getRuntime().halt(0);
    }

    private static synchronized void count(long count) {
        long all = records.addAndGet(count);
        if (warmRecords == 0 && all >= warm) {
            warmCpu = SYSTEM.getProcessCpuTime();
            warmRecords = all;
        } else if (all >= until) {
            long cpu = SYSTEM.getProcessCpuTime();
            System.out.println(String.format(
                    Locale.ROOT,
                    "{\"records\":%d,\"bytes\":%d,\"cpu_s\":%.3f,\"warm_cpu_s_per_M\":%.3f}",
                    all,
                    bytes.get(),
                    cpu / 1e9,
                    (cpu - warmCpu) / 1e3 / (all - warmRecords)));
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }

    /** Counts records, and checkpoints each batch. */
    private static class Reader implements ShardRecordProcessor {
        @Override
        public void initialize(InitializationInput input) {
            System.out.println("began " + input.shardId());
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            for (KinesisClientRecord record : input.records()) {
                bytes.addAndGet(record.data().remaining());
            }
            try {
                input.checkpointer().checkpoint();
            } catch (Exception failed) {
                throw new IllegalStateException(failed);
            }
            count(input.records().size());
        }

        @Override
        public void leaseLost(LeaseLostInput input) {}

        @Override
        public void shardEnded(ShardEndedInput input) {}

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {}
    }
}
