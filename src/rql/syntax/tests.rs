use super::*;

fn fault(text: &str) -> (usize, String) {
    let fault = parse(text).expect_err(text);
    (fault.at, fault.message)
}

/// The tree as one would write it with calls only.
fn printed(text: &str) -> String {
    fn print(term: &Term<'_>) -> String {
        let words = |words: &[Word<'_>]| words.iter().map(|word| word.text).collect::<Vec<_>>().join(",");
        let terms = |terms: &[Term<'_>]| terms.iter().map(print).collect::<Vec<_>>().join(",");
        match term {
            Term::And(all) => format!("and({})", terms(all)),
            Term::Or { terms: some, .. } => format!("or({})", terms(some)),
            Term::Compare { field, op, value } => format!("{op:?}({},{})", field.text, value.text).to_lowercase(),
            Term::In { field, values, negated } => {
                format!("{}({},{})", if *negated { "out" } else { "in" }, field.text, words(values))
            }
            Term::Like { field, value } => format!("like({},{})", field.text, value.text),
            Term::Contains { field, conditions, negated } => {
                format!("{}({}:{})", if *negated { "excludes" } else { "contains" }, field.text, terms(conditions))
            }
            Term::Bare(word) => word.text.to_owned(),
            Term::Sort { keys, .. } => format!("sort({})", words(keys)),
            Term::Select { fields, .. } => format!("select({})", words(fields)),
            Term::Limit { limit, offset, .. } => {
                format!("limit({},{})", limit.text, offset.map_or("", |word| word.text))
            }
            Term::SkipCount { .. } => "skipCount()".to_owned(),
        }
    }
    parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).iter().map(print).collect::<Vec<_>>().join(" ")
}

#[test]
fn shorthands_equal_calls() {
    for (text, calls) in [
        ("a=1", "eq(a,1)"),
        ("a==1", "eq(a,1)"),
        ("a!=1", "ne(a,1)"),
        ("a>1&b>=2", "gt(a,1) ge(b,2)"),
        ("a<1|b<=2", "or(lt(a,1),le(b,2))"),
        ("a%3C1&b%3C=2&c%3e3&d%3E=4", "lt(a,1) le(b,2) gt(c,3) ge(d,4)"),
        ("a=ge=1&b=ne=x", "ge(a,1) ne(b,x)"),
        ("a=in=(1,2)&b=out=3&c=in=()", "in(a,1,2) out(b,3) in(c,)"),
        ("a=like=x", "like(a,x)"),
        ("a=", "eq(a,)"),
        ("a.b>=2026-01-31T08:15:30.123+01:00", "ge(a.b,2026-01-31t08:15:30.123+01:00)"),
    ] {
        assert_eq!(printed(text), calls, "{text}");
    }
}

#[test]
fn groups_nest_and_join() {
    for (text, tree) in [
        ("", ""),
        ("&&a=1&", "eq(a,1)"),
        ("eq(a,1),eq(b,2)", "eq(a,1) eq(b,2)"),
        ("(a=1|b=2)&c=3", "or(eq(a,1),eq(b,2)) eq(c,3)"),
        ("and(a=1&b=2,eq(c,3))", "and(eq(a,1),eq(b,2),eq(c,3))"),
        ("or(a=1|b=2,c=3)", "or(eq(a,1),eq(b,2),eq(c,3))"),
        ("eq(a,1)%7Ceq(b,2)", "or(eq(a,1),eq(b,2))"),
        ("eq(a,1)%7cb=2", "or(eq(a,1),eq(b,2))"),
        ("a=1%7Cb%3E2%7cc=in=3", "or(eq(a,1),gt(b,2),in(c,3))"),
        ("eq(a,1%7Cb)", "eq(a,1%7cb)"),
        ("a=1%257Cb", "eq(a,1%257cb)"),
        ("contains(a)", "contains(a:)"),
        ("contains(a,b>1,c<2)&excludes(d,and(x))", "contains(a:gt(b,1),lt(c,2)) excludes(d:and(x))"),
    ] {
        assert_eq!(printed(text), tree, "{text}");
    }
}

#[test]
fn the_separator_that_the_sdk_swallows_is_not_needed() {
    // rqlBuilder('eq(a,1)&limit(5)&eq(b,2)').limit(50)
    assert_eq!(printed("eq(a,1)eq(b,2)&limit(50)"), "eq(a,1) eq(b,2) limit(50,)");
    assert_eq!(printed("or(eq(a,1)eq(b,2))"), "or(eq(a,1),eq(b,2))");
}

#[test]
fn values_may_contain_characters_without_structure() {
    for value in ["abc==", "a<b", "a!b", "*", "a/b", "'x'", "a;b", "é", "%2529"] {
        let text = format!("eq(a,{value})");
        assert_eq!(parse(&text).map(|terms| terms.len()), Ok(1), "{text}");
    }
}

#[test]
fn faults_name_their_position() {
    for (text, at, says) in [
        ("foo", 0, "expected a condition"),
        ("a=1&foo", 4, "expected a condition"),
        ("eq(a,1", 6, "expected ')' for the '(' at character 3"),
        ("eq(a,1))", 7, "has no matching '('"),
        ("eq(a)", 4, "expected ',' and a value, found ')'"),
        ("eq(,1)", 3, "expected the name of a field"),
        ("eq(a,1,2)", 6, "expected ')', found ','"),
        ("eq(a,b(c))", 6, "expected ')', found '('"),
        ("fancy(a,1)", 0, "unknown operator 'fancy'"),
        ("a=fancy=1", 1, "unknown operator '=fancy='"),
        ("=1", 0, "expected the name of a field before the operator"),
        ("a=1&b=2|c=3", 7, "cannot be mixed"),
        ("and(a=1|b=2)", 7, "cannot be mixed"),
        ("or(a=1&b=2)", 6, "cannot be mixed"),
        ("in(a)", 4, "expected ',' and values"),
        ("limit(1,2,3)", 0, "expected limit(number)"),
        ("skipCount(1)", 10, "expected ')'"),
    ] {
        let (found, message) = fault(text);
        assert_eq!(found, at, "{text}: {message}");
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
    parse(&nested(MAX_DEPTH)).unwrap();
    assert!(fault(&nested(MAX_DEPTH + 1)).1.contains("nested deeper"));
    let values = |n: usize| format!("in(a,{})", vec!["1"; n].join(","));
    parse(&format!("{}&sort(+a,-b)&select(a,b)&limit(1,2)", values(MAX_TERMS - 1))).unwrap();
    assert!(fault(&values(MAX_TERMS)).1.contains("more than"));
    for form in ["eq(a,1)", "a=1", "a=ge=1", "like(a,x)", "contains(a,x)"] {
        // `contains` with a value is two conditions: that there is an element, and what it equals.
        let each = if form.starts_with("contains") { 3 } else { 2 };
        let many = |count: usize| vec![form; count].join("&");
        parse(&many(MAX_TERMS / each)).unwrap();
        assert!(fault(&many(MAX_TERMS / each + 1)).1.contains("more than"), "{form}");
    }
}
