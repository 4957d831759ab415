//! How the store reaches DynamoDB.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{
        batch_get_item::{
            BatchGetItemError, BatchGetItemInput, BatchGetItemOutput, builders::BatchGetItemInputBuilder,
        },
        delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput, builders::DeleteItemInputBuilder},
        get_item::{GetItemError, GetItemInput, GetItemOutput, builders::GetItemInputBuilder},
        put_item::{PutItemError, PutItemInput, PutItemOutput, builders::PutItemInputBuilder},
        query::{QueryError, QueryInput, QueryOutput, builders::QueryInputBuilder},
        transact_write_items::{
            TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput,
            builders::TransactWriteItemsInputBuilder,
        },
        update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput, builders::UpdateItemInputBuilder},
    },
};
use tasklane_runtime::on_demand::OnDemand;

/// What a [`Direct`] database answers; `None` if it leaves the request to the client.
pub type DirectAnswer<'a, O, E> = Pin<Box<dyn Future<Output = Option<Result<O, SdkError<E>>>> + Send + 'a>>;

/// How the store reaches DynamoDB: with the SDK's client, or, if the database is in this process, by handing it the requests as
/// they are. Building HTTP requests and reading answers took a quarter of the store's time on one machine.
#[derive(Clone)]
pub struct Connection {
    client: OnDemand<Client>,
    direct: Option<Arc<dyn Direct>>,
}

impl<C: Into<OnDemand<Client>>> From<C> for Connection {
    fn from(client: C) -> Self {
        Self { client: client.into(), direct: None }
    }
}

impl Connection {
    /// A database in this process, which `client` reaches, too.
    pub fn direct(client: Client, database: Arc<dyn Direct>) -> Self {
        Self { client: client.into(), direct: Some(database) }
    }

    /// The client, for what no [`Direct`] database takes.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_direct", &self.direct.is_some()).finish_non_exhaustive()
    }
}

macro_rules! requests {
    ($($name:ident: $builder:ident, $input:ident => $output:ident, $error:ident;)*) => {
        /// A database in this process. It keeps to DynamoDB's semantics, and answers with the SDK's errors.
        pub trait Direct: Send + Sync {
            $(
                #[doc = concat!("The operation `", stringify!($input), "`.")]
                fn $name(&self, input: $input) -> DirectAnswer<'_, $output, $error>;
            )*
        }

        impl Connection {
            $(
                /// Makes the request, once. `request` may be built twice. Boxed, because it is several kilobytes large, and so
                /// would be every future that awaits it.
                pub(super) fn $name<'a>(
                    &'a self,
                    request: impl Fn() -> $builder + Send + 'a,
                ) -> Pin<Box<dyn Future<Output = Result<$output, SdkError<$error>>> + Send + 'a>> {
                    Box::pin(async move {
                        if let Some(direct) = &self.direct {
                            let input = request().build().map_err(SdkError::construction_failure)?;
                            if let Some(answer) = direct.$name(input).await {
                                return answer;
                            }
                        }
                        request().send_with(&self.client).await
                    })
                }
            )*
        }
    };
}

requests! {
    get_item: GetItemInputBuilder, GetItemInput => GetItemOutput, GetItemError;
    batch_get_item: BatchGetItemInputBuilder, BatchGetItemInput => BatchGetItemOutput, BatchGetItemError;
    query: QueryInputBuilder, QueryInput => QueryOutput, QueryError;
    put_item: PutItemInputBuilder, PutItemInput => PutItemOutput, PutItemError;
    update_item: UpdateItemInputBuilder, UpdateItemInput => UpdateItemOutput, UpdateItemError;
    delete_item: DeleteItemInputBuilder, DeleteItemInput => DeleteItemOutput, DeleteItemError;
    transact_write_items: TransactWriteItemsInputBuilder, TransactWriteItemsInput
        => TransactWriteItemsOutput, TransactWriteItemsError;
}
