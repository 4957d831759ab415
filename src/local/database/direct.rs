//! Takes the store's requests as they are, without the SDK's HTTP.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    error::{ErrorMetadata, ProvideErrorMetadata as _, SdkError},
    operation::{
        batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput},
        delete_item::{DeleteItemError, DeleteItemInput, DeleteItemOutput},
        get_item::{GetItemError, GetItemInput, GetItemOutput},
        put_item::{PutItemError, PutItemInput, PutItemOutput},
        query::{QueryError, QueryInput, QueryOutput},
        transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput},
    },
    types::error::{ConditionalCheckFailedException, TransactionCanceledException},
};
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::ConnectorError},
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use tasklane_store::{Direct, DirectAnswer};

use super::{
    calls,
    connector::{Backend, STOPPED},
    engine::{Fault, Operation},
};

/// A database in this process.
pub(super) struct Database(pub(super) Arc<Backend>);

impl Database {
    async fn ask<O: Operation, E: From<Refusal>>(&self, operation: O) -> Option<Result<O::Answer, SdkError<E>>> {
        let unreachable = |why: String| SdkError::dispatch_failure(ConnectorError::other(why.into(), None));
        let answered = match self.0.submit(|caller| calls::Typed::new(operation, caller)) {
            Ok(answered) => answered,
            Err(why) => return Some(Err(unreachable(why))),
        };
        match answered.await {
            Ok(Ok(answer)) => Some(Ok(answer)),
            Ok(Err(fault)) => {
                let refusal = Refusal::of(fault)?;
                let status = StatusCode::try_from(refusal.status()).ok()?;
                Some(Err(SdkError::service_error(refusal.into(), HttpResponse::new(status, SdkBody::empty()))))
            }
            Err(_) => Some(Err(unreachable(STOPPED.to_owned()))),
        }
    }
}

/// A fault that the caller learns of.
enum Refusal {
    Condition(ConditionalCheckFailedException),
    Transaction(TransactionCanceledException),
    Failed(ErrorMetadata),
}

impl Refusal {
    fn of(fault: Fault) -> Option<Self> {
        let meta = |code: &str, message: &str| ErrorMetadata::builder().code(code).message(message).build();
        Some(match fault {
            Fault::NotOurs => return None,
            Fault::Refused(item) => {
                let message = "The conditional request failed";
                let refused = ConditionalCheckFailedException::builder().message(message).set_item(item);
                Self::Condition(refused.meta(meta("ConditionalCheckFailedException", message)).build())
            }
            Fault::Canceled(reasons) => {
                let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
                let canceled = TransactionCanceledException::builder().message(message);
                let canceled = canceled.set_cancellation_reasons(Some(reasons));
                Self::Transaction(canceled.meta(meta("TransactionCanceledException", message)).build())
            }
            Fault::Failed(why) => Self::Failed(meta("InternalServerError", &why)),
        })
    }

    fn status(&self) -> u16 {
        match self {
            Self::Condition(_) | Self::Transaction(_) => 400,
            Self::Failed(_) => 500,
        }
    }

    /// For an operation that has no such refusal.
    fn meta(self) -> ErrorMetadata {
        match self {
            Self::Condition(refused) => refused.meta().clone(),
            Self::Transaction(canceled) => canceled.meta().clone(),
            Self::Failed(meta) => meta,
        }
    }
}

macro_rules! refuses {
    ($($error:ident: $($kind:ident => $variant:ident)?;)*) => {
        $(
            impl From<Refusal> for $error {
                fn from(refusal: Refusal) -> Self {
                    match refusal {
                        $(Refusal::$kind(refused) => Self::$variant(refused),)?
                        other => Self::generic(other.meta()),
                    }
                }
            }
        )*
    };
}

refuses! {
    GetItemError: ;
    BatchGetItemError: ;
    QueryError: ;
    PutItemError: Condition => ConditionalCheckFailedException;
    UpdateItemError: Condition => ConditionalCheckFailedException;
    DeleteItemError: Condition => ConditionalCheckFailedException;
    TransactWriteItemsError: Transaction => TransactionCanceledException;
}

macro_rules! asks {
    ($($name:ident: $input:ident => $output:ident, $error:ident;)*) => {
        impl Direct for Database {
            $(
                fn $name(&self, input: $input) -> DirectAnswer<'_, $output, $error> {
                    Box::pin(self.ask(input))
                }
            )*
        }
    };
}

asks! {
    get_item: GetItemInput => GetItemOutput, GetItemError;
    batch_get_item: BatchGetItemInput => BatchGetItemOutput, BatchGetItemError;
    query: QueryInput => QueryOutput, QueryError;
    put_item: PutItemInput => PutItemOutput, PutItemError;
    update_item: UpdateItemInput => UpdateItemOutput, UpdateItemError;
    delete_item: DeleteItemInput => DeleteItemOutput, DeleteItemError;
    transact_write_items: TransactWriteItemsInput => TransactWriteItemsOutput, TransactWriteItemsError;
}
