//! Concurrent changes of roles and accounts end as if they had come one after the other.

use futures::future::join_all;
use tasklane_model::{
    AccountText, Caller, EmailAddress, Error, ErrorKind, FunctionName, Identity, ObjectId, Password, Permissions,
    Result, RoleName, UserId,
};
use tasklane_rql::{Query, Schema};
use tasklane_service::{NewAccount, NewExecutionCredentials, NewRole, Service};
use tasklane_testing::World;

const TWELVE: usize = 12;

/// Twelve concurrent calls, half of them in each of two processes.
async fn twelve<'a, T, F: Future<Output = Result<T>>>(
    (one, other): (&'a World, &'a World),
    call: impl Fn(&'a Service, usize) -> F,
) -> Vec<Result<T>> {
    let service = |number: usize| if number.is_multiple_of(2) { &one.service } else { &other.service };
    join_all((0..TWELVE).map(|number| call(service(number), number))).await
}

async fn two_processes() -> (World, World) {
    let one = World::at_rest(5).await;
    let other = one.beside(5, "other");
    (one, other)
}

fn kinds<T>(results: Vec<Result<T>>) -> Vec<ErrorKind> {
    results.into_iter().filter_map(|result| result.err()).map(|error: Error| error.kind()).collect()
}

fn administrator() -> Caller {
    let user_id = UserId::parse("administrator").unwrap();
    Caller::User(Identity { user_id, application_id: None, permissions: Permissions::all() }.into())
}

fn role(name: impl ToString) -> NewRole {
    NewRole { name: RoleName::parse(name.to_string()).unwrap(), description: AccountText::default() }
}

fn account(email: &str) -> NewAccount {
    let text = AccountText::default;
    NewAccount {
        email: EmailAddress::parse(email).unwrap(),
        password: Password::parse("Secret-word-1").unwrap(),
        first_name: text(),
        last_name: text(),
        phone_number: text(),
        language: text(),
        time_zone: None,
    }
}

fn query(rql: &str, schema: &Schema) -> Query {
    Query::parse(rql, schema).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_role_is_created_once_and_an_address_is_registered_once() {
    let (one, other) = two_processes().await;
    let created = twelve((&one, &other), |service, _| service.create_role(role("same"))).await;
    assert_eq!(kinds(created), [ErrorKind::ResourceAlreadyExists; TWELVE - 1]);
    let registered = twelve((&one, &other), |service, _| service.register(account("a@example.com"))).await;
    assert_eq!(kinds(registered), [ErrorKind::EmailUsed; TWELVE - 1]);
    let registry = one.store.accounts.registry().await.unwrap().value;
    assert_eq!((registry.roles, registry.accounts, registry.waiting.len()), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_change_of_a_role_or_of_a_user_is_lost() {
    let (one, other) = two_processes().await;
    let roles: Vec<_> = join_all((0..TWELVE).map(|number| one.service.create_role(role(number)))).await;
    let roles: Vec<ObjectId> = roles.into_iter().map(|role| role.unwrap().id).collect();
    let (first, caller) = (query("eq(name,0)", &Schema::ROLES), administrator());
    let names: Vec<_> = (0..TWELVE).map(|number| Permissions::parse([format!("NAME_{number}")]).unwrap()).collect();
    let added =
        twelve((&one, &other), |service, number| service.add_role_permissions(&caller, &first, &names[number])).await;
    assert_eq!(kinds(added), []);
    let stored = one.store.accounts.role_named(&RoleName::parse("0").unwrap()).await.unwrap().unwrap().value;
    assert_eq!(stored.permissions.count(), TWELVE);

    let user = one.service.register(account("a@example.com")).await.unwrap().id;
    let everybody = query("eq(email,a@example.com)", &Schema::USERS);
    let given = twelve((&one, &other), |service, number| {
        service.add_roles(&caller, &everybody, std::slice::from_ref(&roles[number]))
    });
    assert_eq!(kinds(given.await), []);
    let stored = one.store.accounts.account(user).await.unwrap().unwrap().value.account;
    assert_eq!(stored.roles, roles);
    assert!(one.store.accounts.registry().await.unwrap().value.waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_synced_from_many_places_has_one_role_and_one_user() {
    let (one, other) = two_processes().await;
    let (caller, function) = (administrator(), FunctionName::parse("f").unwrap());
    let wanted = || NewExecutionCredentials {
        permissions: Permissions::parse(["VIEW_TASKS"]).unwrap(),
        email: None,
        held: None,
        dry_run: false,
    };
    let set =
        twelve((&one, &other), |service, _| service.set_execution_credentials(&caller, &function, wanted())).await;
    assert_eq!(kinds(set), []);
    let accounts = &one.store.accounts;
    assert_eq!((accounts.roles().await.unwrap().len(), accounts.accounts().await.unwrap().len()), (1, 1));
}
