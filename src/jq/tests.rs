use super::*;

fn outputs(program: &str, input: &str) -> Result<Vec<String>, Error> {
    bounded(
        program,
        input,
        &Allowance::new(1_000, 100_000, &Stop::default()),
    )
}

fn bounded(program: &str, input: &str, allowance: &Allowance) -> Result<Vec<String>, Error> {
    let program = Program::parse(program).unwrap();
    let mut outputs = Outputs::default();
    program.run(input, allowance, &mut outputs)?;
    let text = String::from_utf8(outputs.text).unwrap();
    Ok(outputs
        .ranges
        .into_iter()
        .map(|range| text[range].to_owned())
        .collect())
}

/// Runs a program in a room as large as it has in a run.
fn runaway(program: &str, input: &str) -> Error {
    let (program, input) = (program.to_owned(), input.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let work = move |stop: &Stop| {
        let allowance = Allowance::new(1_000, 100_000, stop).with_steps(20_000);
        bounded(&program, &input, &allowance)
    };
    runtime.block_on(apart(work)).unwrap_err()
}

#[test]
fn numbers_keep_their_digits_and_fields_their_order() {
    let cases = [
        (
            ".",
            r#"{"b":12345678901234567890,"a":1234.50}"#,
            r#"{"b":12345678901234567890,"a":1234.50}"#,
        ),
        (".a", r#"{"a":-0.10}"#, "-0.10"),
        (".a", r#"{"a":1e400}"#, "1e400"),
        (
            ".a",
            r#"{"a":0.1000000000000000000000001}"#,
            "0.1000000000000000000000001",
        ),
        (
            "{id, t: .a}",
            r#"{"a":1.0,"id":9007199254740993}"#,
            r#"{"id":9007199254740993,"t":1.0}"#,
        ),
        (".a | tonumber", r#"{"a":"12.50"}"#, "12.50"),
        (".a | tonumber", r#"{"a":"+012.50"}"#, "12.50"),
        (".a | tostring", r#"{"a":12.50}"#, r#""12.50""#),
        (".a + 1", r#"{"a":9007199254740993}"#, "9007199254740994"),
        (
            ".a * 3",
            r#"{"a":9223372036854775807}"#,
            "27670116110564327421",
        ),
        (".a * 2 | .", r#"{"a":1.25}"#, "2.5"),
        (".a *= 2", r#"{"a":3}"#, r#"{"a":6}"#),
        (".a / .b", r#"{"a":0,"b":0}"#, "null"),
        ("[.a[] * (1,2)]", r#"{"a":[3,4]}"#, "[3,6,4,8]"),
        ("[.a[] + (1,2)]", r#"{"a":[3,4]}"#, "[4,5,5,6]"),
        (r#""a" * 3"#, "1", r#""aaa""#),
        (
            ".a",
            r#"{"a":"é\u0007\"\\\ud83d\ude00"}"#,
            r#""é\u0007\"\\😀""#,
        ),
    ];
    for (program, input, output) in cases {
        assert_eq!(
            outputs(program, input),
            Ok(vec![output.to_owned()]),
            "{program} {input}"
        );
    }
}

#[test]
fn the_language_works_as_its_manual_says() {
    let cases = [
        (
            ".[] | select(.a > 1) | .a",
            r#"[{"a":1},{"a":2},{"a":3}]"#,
            "2 3",
        ),
        (
            "to_entries[] | {id: .key} + .value",
            r#"{"x":{"v":1}}"#,
            r#"{"id":"x","v":1}"#,
        ),
        ("[range(3)], [range(1;7;2)]", "null", "[0,1,2] [1,3,5]"),
        ("[limit(2; repeat(1))]", "null", "[1,1]"),
        ("reduce .[] as $x (0; . + $x)", "[1,2,3]", "6"),
        (
            "[foreach .[] as $x (0; . + $x; [$x, .])]",
            "[1,2]",
            "[[1,1],[2,3]]",
        ),
        ("paths", r#"{"a":[1]}"#, r#"["a"] ["a",0]"#),
        ("[..]", "[[1]]", "[[[1]],[1],1]"),
        ("map_values(. + 1)", r#"{"a":1}"#, r#"{"a":2}"#),
        ("(.[] | select(. > 1)) |= 0", "[1,2]", "[1,0]"),
        ("del(.a, .b)", r#"{"a":1,"b":2,"c":3}"#, r#"{"c":3}"#),
        (
            "walk(if type == \"number\" then . + 1 else . end)",
            "[1,[2]]",
            "[2,[3]]",
        ),
        (".a | fromjson", r#"{"a":"{\"b\":1.50}"}"#, r#"{"b":1.50}"#),
        ("def f: if . > 3 then . else . + 1 | f end; f", "0", "4"),
        (
            "label $out | .[] | if . > 1 then ., break $out else . end",
            "[1,2,3]",
            "1 2",
        ),
        (".[] | try error(\"x\") catch .", "[1]", r#""x""#),
        ("test(\"^a\")", r#""abc""#, "true"),
        (
            "strptime(\"%d-%m-%Y\") | mktime | todate",
            r#""29-03-2026""#,
            r#""2026-03-29T00:00:00Z""#,
        ),
        ("[splits(\", *\")]", r#""a, b""#, r#"["a","b"]"#),
        (". as {a: $x, b: [$y]} | $x + $y", r#"{"a":1,"b":[2]}"#, "3"),
        ("\"\\(.a)-\\(.b)\"", r#"{"a":1,"b":"x"}"#, r#""1-x""#),
        (
            "__without([\"a\",\"c\"])",
            r#"{"a":1,"b":2,"c":3,"d":4}"#,
            r#"{"b":2,"d":4}"#,
        ),
        ("empty", "1", ""),
        ("# why\n.a # and this", r#"{"a":1}"#, "1"),
        ("def f(g): g; f(f(. + 1))", "1", "2"),
        (
            "def f(g): def r: if . > 9 then . else g | r end; r; f(. * 2)",
            "1",
            "16",
        ),
        ("until(. > 100; . * 2)", "1", "128"),
        (
            "[recurse(if . < 3 then . + 1 else empty end)]",
            "0",
            "[0,1,2,3]",
        ),
        ("input_line_number? // \"none\"", "0", "\"none\""),
    ];
    for (program, input, expected) in cases {
        if program.starts_with("input_line") {
            assert!(Program::parse(program).is_err());
            continue;
        }
        let found = outputs(program, input).map(|outputs| outputs.join(" "));
        assert_eq!(found.as_deref(), Ok(expected), "{program}");
    }
}

#[test]
fn what_is_wrong_with_a_program_is_told_with_its_place() {
    let cases = [
        (".a |", "expected term", ""),
        (
            ".a | foo",
            "there is no function `foo` with this number of arguments",
            "foo",
        ),
        (
            "select(.a; .b)",
            "there is no function `select` with this number of arguments",
            "select",
        ),
        (". + $x", "there is no variable `$x`", "$x"),
        (
            "env.HOME",
            "`env` does not exist here: a program sees its input and nothing else",
            "env",
        ),
        (
            "$ENV.HOME",
            "`$ENV` does not exist here: a program sees its input and nothing else",
            "$ENV",
        ),
        (
            "now",
            "`now` does not exist here: a program sees its input and nothing else",
            "now",
        ),
        (
            "debug",
            "`debug` does not exist here: a program sees its input and nothing else",
            "debug",
        ),
        (
            "halt",
            "`halt` does not exist here: a program sees its input and nothing else",
            "halt",
        ),
        (
            "input",
            "`input` does not exist here: a program sees its input and nothing else",
            "input",
        ),
        ("(.a", "expected closing parenthesis", ""),
        ("\"a", "expected closing quote", ""),
        (
            "import \"a\" as a; .",
            "expected the end of the program",
            "\"a\"",
        ),
        ("step!", "expected the end of the program", "!"),
        (
            "def f(g): if . then g | f(g) else . end; f(.)",
            "`f` calls itself and takes a function, which nests without end; put what calls itself \
             inside, as in `def f(g): def again: g | again; again`",
            "f",
        ),
        (
            "def f(g): def h: f(g); h; f(.)",
            "`f` calls itself and takes a function, which nests without end; put what calls itself \
             inside, as in `def f(g): def again: g | again; again`",
            "f",
        ),
    ];
    for (source, message, part) in cases {
        let problem = Program::parse(source).unwrap_err();
        assert_eq!(
            (problem.message.as_str(), &source[problem.range]),
            (message, part),
            "{source}"
        );
    }
}

#[test]
fn a_program_that_fails_says_why_and_shows_little_of_the_input() {
    let long = format!(r#"{{"a":"{}"}}"#, "secret ".repeat(1_000));
    let Err(Error::Failed(message)) = outputs(". + 1", &long) else {
        panic!("it did not fail");
    };
    assert!(
        message.starts_with("cannot calculate {\"a\":\"secret"),
        "{message}"
    );
    assert!(message.chars().count() <= KEPT + 1, "{message}");

    let cases = [
        (
            "error(\"no rights\")",
            "1",
            Error::Failed("no rights".to_owned()),
        ),
        (".", "{\"a\":", Error::NotJson { line: 1, column: 5 }),
        (".", "1 2", Error::NotJson { line: 1, column: 3 }),
        (".", "NaN", Error::NotJson { line: 1, column: 1 }),
        (
            "{(1|tostring|tobytes): 1}",
            "1",
            Error::NoJson("an object with keys that are no text"),
        ),
        ("tobytes", "1", Error::NoJson("a string of bytes")),
    ];
    for (program, input, error) in cases {
        assert_eq!(outputs(program, input), Err(error), "{program}");
    }
}

#[test]
fn results_are_capped() {
    let few = || Allowance::new(3, 100, &Stop::default());
    assert_eq!(bounded("range(4)", "1", &few()), Err(Error::Outputs(3)));
    assert_eq!(bounded("range(3)", "1", &few()).unwrap().len(), 3);
    assert_eq!(bounded("\"x\" * 98", "1", &few()), Err(Error::Bytes(100)));
    assert_eq!(bounded("\"x\" * 97", "1", &few()).unwrap().len(), 1);
}

#[test]
fn a_program_that_goes_on_for_ever_is_stopped() {
    let endless = [
        "def f: f; f",
        "def f: f?; f",
        "def f: try f catch f; f",
        "repeat(1) | empty",
        "[repeat(.)] | length",
        "last(range(1; infinite))",
        "reduce range(infinite) as $x (0; . + $x)",
        "0 | until(false; . + 1)",
        "while(true; .) | select(false)",
        "[.[] as $a | .[] as $b | .[] as $c | 1] | length",
        "[.. as $a | .. as $b | .. as $c | 1] | length",
    ];
    let many = serde_json::to_string(&vec![1; 1_000]).unwrap();
    for program in endless {
        let error = runaway(program, &many);
        assert!(
            matches!(error, Error::Endless(20_000) | Error::Deep),
            "{program}: {error:?}"
        );
    }
}

#[test]
fn a_program_that_goes_too_deep_is_stopped_before_the_stack_is() {
    let deep = [
        "def f: 1 + f; f",
        "def f: f | f; f",
        "def f: [f]; f",
        "def f: f, 1; f",
        "[recurse([.])] | length",
        "reduce range(150000) as $x (0; [.])",
        "reduce range(150000) as $x (0; {next: ., x: 1})",
        "reduce range(150000) as $x (0; {x: 1, next: .})",
        "def f($x): f([$x]); f(1)",
        "def f($x; $y): f($y; {$x}); f(1; 2)",
    ];
    for program in deep {
        let error = runaway(program, "1");
        assert!(
            matches!(error, Error::Deep | Error::Endless(_)),
            "{program}: {error:?}"
        );
    }
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(outputs(".", &nested), Err(Error::Nested));
    let text = serde_json::to_string(&nested).unwrap();
    assert_eq!(outputs("fromjson", &text), Err(Error::Deep));
}

#[test]
fn a_text_that_doubles_is_stopped_before_the_memory_is() {
    assert_eq!(
        outputs("\"a\" * 1e3 | length", "1"),
        Err(Error::Failed("cannot calculate \"a\" * 1e3".to_owned()))
    );
    assert_eq!(
        outputs(".a * .b", r#"{"a":"12.50","b":1000000000000}"#),
        Err(Error::Long)
    );
    assert_eq!(
        outputs(".a *= 1000000000000", r#"{"a":"12.50"}"#),
        Err(Error::Long)
    );
    assert_eq!(
        outputs("reduce range(60) as $x (\"a\"; . + .)", "1"),
        Err(Error::Long)
    );
    assert_eq!(
        outputs("def f: . + . | f; \"a\" | f", "1"),
        Err(Error::Long)
    );
}

#[tokio::test]
async fn who_no_longer_waits_stops_the_program() {
    let (tell, told) = std::sync::mpsc::channel();
    let endless = Program::parse("def f: f; f").unwrap();
    let work = move |stop: &Stop| {
        let allowance = Allowance::new(1, 1, stop).with_steps(u64::MAX);
        tell.send(endless.test("1", &allowance)).unwrap();
    };
    let mut waiting = Box::pin(apart(work));
    // Polled once, so that the thread is there, and dropped, as a run is that took too long.
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(told.recv().unwrap(), Err(Error::Stopped));
}

#[tokio::test]
#[should_panic(expected = "as it is")]
async fn a_panic_beside_is_a_panic_here() {
    apart(|_| panic!("as it is")).await
}

#[test]
fn a_test_is_what_the_last_result_says() {
    let holds = |program: &str| {
        let allowance = Allowance::new(1, 1, &Stop::default());
        Program::parse(program)
            .unwrap()
            .test(r#"{"a":1}"#, &allowance)
            .unwrap()
    };
    assert!(holds(".a == 1") && holds(".a") && holds("false, true"));
    assert!(!holds(".a == 2") && !holds(".b") && !holds("empty") && !holds("true, false"));
}
