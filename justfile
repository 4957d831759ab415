# Shortcuts (https://just.systems). Each is one command, so none of them needs `just`; CONTRIBUTING.md has the rest.

# Show this list.
default:
    @just --list --unsorted

# Format, lint and check the documents: fast enough for each commit.
quick:
    cargo fmt --all --check
    infra/check-documents
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Run the tests of a crate below src/, e.g. `just unit rql`, or some of them: `just unit store lanes`.
unit crate filter="":
    cargo test --locked -p tasklane-{{crate}} {{filter}}

# Run integration tests, e.g. `just it dev`.
it filter="":
    cargo test --locked --test it {{filter}}

# Serve the examples on http://localhost:4000.
dev *args:
    cargo run --locked -- dev examples {{args}}

# Run seeds of the simulation, e.g. `just simulate --seeds 1 --start 382`.
simulate *args="--seeds 2000":
    cargo run --profile checks --locked -p simulate -- {{args}}

# Build the site of the documents: target/book/index.html.
site:
    infra/site/build

# Regenerate docs/openapi.json and infra/iam.md from the code.
derive:
    UPDATE_OPENAPI=1 cargo test --locked --test it openapi
    UPDATE_IAM=1 cargo test --locked --test it template::roles

# Check licenses, advisories and sources of dependencies. Needs cargo-deny.
deny:
    cargo deny check

# Run everything that CI's main job runs.
ci:
    .ci/run
