//! The operations that this service knows, by their names on the wire.

use std::fmt;

/// One of the services behind the endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// Kinesis Data Streams.
    Kinesis,
    /// DynamoDB.
    DynamoDb,
    /// CloudWatch.
    CloudWatch,
}

macro_rules! operations {
    ($($service:ident { $($variant:ident = $name:literal),+ $(,)? })+) => {
        /// An operation of one of the services.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Operation {
            $($(
                #[doc = concat!("`", $name, "` of ", stringify!($service), ".")]
                $variant,
            )+)+
        }

        impl Operation {
            /// The service it belongs to.
            #[must_use]
            pub fn service(self) -> Service {
                match self {
                    $($(Self::$variant)|+ => Service::$service,)+
                }
            }

            /// Its name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$variant => $name,)+)+
                }
            }

            pub(crate) fn named(service: Service, name: &str) -> Option<Self> {
                match (service, name) {
                    $($((Service::$service, $name) => Some(Self::$variant),)+)+
                    _ => None,
                }
            }
        }
    };
}

operations! {
    Kinesis {
        AddTagsToStream = "AddTagsToStream",
        CreateStream = "CreateStream",
        DecreaseStreamRetentionPeriod = "DecreaseStreamRetentionPeriod",
        DeleteResourcePolicy = "DeleteResourcePolicy",
        DeleteStream = "DeleteStream",
        DeregisterStreamConsumer = "DeregisterStreamConsumer",
        DescribeLimits = "DescribeLimits",
        DescribeStream = "DescribeStream",
        DescribeStreamConsumer = "DescribeStreamConsumer",
        DescribeStreamSummary = "DescribeStreamSummary",
        DisableEnhancedMonitoring = "DisableEnhancedMonitoring",
        EnableEnhancedMonitoring = "EnableEnhancedMonitoring",
        GetRecords = "GetRecords",
        GetResourcePolicy = "GetResourcePolicy",
        GetShardIterator = "GetShardIterator",
        IncreaseStreamRetentionPeriod = "IncreaseStreamRetentionPeriod",
        ListShards = "ListShards",
        ListStreamConsumers = "ListStreamConsumers",
        ListStreams = "ListStreams",
        ListTagsForResource = "ListTagsForResource",
        ListTagsForStream = "ListTagsForStream",
        MergeShards = "MergeShards",
        PutRecord = "PutRecord",
        PutRecords = "PutRecords",
        PutResourcePolicy = "PutResourcePolicy",
        RegisterStreamConsumer = "RegisterStreamConsumer",
        RemoveTagsFromStream = "RemoveTagsFromStream",
        SplitShard = "SplitShard",
        StartStreamEncryption = "StartStreamEncryption",
        StopStreamEncryption = "StopStreamEncryption",
        SubscribeToShard = "SubscribeToShard",
        TagResource = "TagResource",
        UntagResource = "UntagResource",
        UpdateMaxRecordSize = "UpdateMaxRecordSize",
        UpdateShardCount = "UpdateShardCount",
        UpdateStreamMode = "UpdateStreamMode",
        UpdateStreamRecordDistributionStrategy = "UpdateStreamRecordDistributionStrategy",
    }
    DynamoDb {
        BatchExecuteStatement = "BatchExecuteStatement",
        BatchGetItem = "BatchGetItem",
        BatchWriteItem = "BatchWriteItem",
        CreateTable = "CreateTable",
        DeleteItem = "DeleteItem",
        DeleteTable = "DeleteTable",
        DescribeTable = "DescribeTable",
        DescribeTimeToLive = "DescribeTimeToLive",
        ExecuteStatement = "ExecuteStatement",
        ExecuteTransaction = "ExecuteTransaction",
        GetItem = "GetItem",
        ListTables = "ListTables",
        ListTagsOfTable = "ListTagsOfResource",
        PutItem = "PutItem",
        Query = "Query",
        Scan = "Scan",
        TagTable = "TagResource",
        TransactGetItems = "TransactGetItems",
        TransactWriteItems = "TransactWriteItems",
        UntagTable = "UntagResource",
        UpdateItem = "UpdateItem",
        UpdateTable = "UpdateTable",
        UpdateTimeToLive = "UpdateTimeToLive",
    }
    CloudWatch {
        PutMetricData = "PutMetricData",
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Operation {
    /// The code with which the service throttles this operation.
    pub(crate) fn throttle_code(self) -> &'static str {
        match self.service() {
            Service::Kinesis => match self {
                Self::PutRecord | Self::PutRecords | Self::GetRecords | Self::GetShardIterator => {
                    "ProvisionedThroughputExceededException"
                }
                _ => "LimitExceededException",
            },
            Service::DynamoDb => match self {
                Self::BatchGetItem
                | Self::BatchWriteItem
                | Self::DeleteItem
                | Self::GetItem
                | Self::PutItem
                | Self::Query
                | Self::Scan
                | Self::TransactGetItems
                | Self::TransactWriteItems
                | Self::UpdateItem => "ProvisionedThroughputExceededException",
                _ => "ThrottlingException",
            },
            Service::CloudWatch => "ThrottlingException",
        }
    }
}

/// A choice of operations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Calls(Choice);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Choice {
    All,
    Of(Service),
    These(Vec<Operation>),
}

impl Calls {
    /// Every operation of every service.
    #[must_use]
    pub fn all() -> Self {
        Self(Choice::All)
    }

    pub(crate) fn contains(&self, operation: Operation) -> bool {
        match &self.0 {
            Choice::All => true,
            Choice::Of(service) => operation.service() == *service,
            Choice::These(operations) => operations.contains(&operation),
        }
    }
}

impl From<Operation> for Calls {
    fn from(operation: Operation) -> Self {
        Self(Choice::These(vec![operation]))
    }
}

/// Every operation of a service.
impl From<Service> for Calls {
    fn from(service: Service) -> Self {
        Self(Choice::Of(service))
    }
}

impl<const N: usize> From<[Operation; N]> for Calls {
    fn from(operations: [Operation; N]) -> Self {
        Self(Choice::These(operations.to_vec()))
    }
}
