//! A made-up but plausible world: which projects a company keeps, decided by a seed.

mod words;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::cell::{Cell, Row};
use super::dice::Dice;
use words::{ACCOUNTS, PEOPLE, REMARKS, SENTENCES, WORKS};

/// The width of an account's code, filled up with blanks on the left.
const ACCOUNT_CODE_WIDTH: usize = 18;
/// How many sentences the longest notes have: some twenty thousand letters.
const LONGEST_NOTE: usize = 400;
/// One project in this many has long notes.
const LONG_NOTES: usize = 40;
/// One project in this many has none of a field that may be empty.
const EMPTY: usize = 3;

const TYPES: [(i64, &str); 5] = [
    (1, "Campaign"),
    (2, "Fixed price"),
    (3, "Time and Material"),
    (4, "Non billable"),
    (5, "Prepaid"),
];

/// The fields that name collections and carry none of their records.
const COLLECTIONS: [&str; 5] = [
    "BudgetedHoursPerHourType",
    "InvoiceTerms",
    "ProjectRestrictionEmployees",
    "ProjectRestrictionItems",
    "ProjectRestrictionRebillings",
];

/// Makes the project that is the `number`th ever made in a division.
pub(super) fn project(seed: u64, division: i32, number: u64, created: DateTime) -> Row {
    let mut dice = Dice::new(seed, &[division.unsigned_abs().into(), number]);
    let id = dice.guid();
    let account = dice.below(ACCOUNTS.len());
    let (kind, kind_name) = dice.pick(&TYPES);
    let start = created.date().saturating_add(days(dice.below(60)));
    let mut fields = vec![
        ("ID", Cell::Guid(id)),
        ("Code", Cell::text(format!("P{number:05}"))),
        ("Description", description(&mut dice, account)),
        ("Type", Cell::Int(kind)),
        ("TypeDescription", Cell::text(kind_name)),
        (
            "Account",
            Cell::Guid(Dice::new(seed, &[1, account as u64]).guid()),
        ),
        (
            "AccountCode",
            Cell::text(format!("{:>ACCOUNT_CODE_WIDTH$}", 1000 + account)),
        ),
        ("AccountName", Cell::text(ACCOUNTS[account])),
        (
            "AccountContact",
            maybe(&mut dice, |dice| Cell::Guid(dice.guid())),
        ),
        ("StartDate", Cell::Moment(start.at(0, 0, 0, 0))),
        ("EndDate", end_date(&mut dice, start.at(0, 0, 0, 0))),
        ("Notes", notes(&mut dice)),
        (
            "InternalNotes",
            maybe(&mut dice, |dice| Cell::text(dice.pick(REMARKS))),
        ),
        (
            "CustomerPOnumber",
            maybe(&mut dice, |dice| {
                Cell::text(format!("{:06}", dice.below(1_000_000)))
            }),
        ),
        (
            "InvoiceDescription",
            maybe(&mut dice, |dice| Cell::text(dice.pick(WORKS))),
        ),
        (
            "PaymentCondition",
            Cell::text(dice.pick(&["30", "14", "8D"])),
        ),
        ("DivisionName", Cell::text(division_name(division))),
        ("Division", Cell::Int(division.into())),
    ];
    fields.extend(people(&mut dice, seed));
    fields.extend(amounts(&mut dice));
    fields.extend(switches(&mut dice));
    fields.extend(choices(&mut dice));
    fields.extend(COLLECTIONS.map(|name| (name, Cell::Deferred)));
    fields.extend([
        ("Created", Cell::Moment(created)),
        ("Modified", Cell::Moment(created)),
    ]);
    Row::new(fields)
}

/// Changes what a project leader would, and leaves the rest.
pub(super) fn change(row: &mut Row, dice: &mut Dice, seed: u64) {
    let account = dice.below(ACCOUNTS.len());
    match dice.below(4) {
        0 => row.set("Description", description(dice, account)),
        1 => row.set("Notes", notes(dice)),
        2 => {
            let toggled = match row.get("EndDate") {
                Some(Cell::Moment(_)) => Cell::Null,
                _ => row.get("StartDate").cloned().unwrap_or(Cell::Null),
            };
            row.set("EndDate", toggled);
        }
        _ => row.set(
            "BlockEntry",
            Cell::Bool(row.get("BlockEntry") != Some(&Cell::Bool(true))),
        ),
    }
    // Always something that differs from before, whatever the dice said.
    let budget = match row.get("BudgetedAmount") {
        Some(Cell::Double(amount)) => amount + 0.25,
        _ => 1250.5,
    };
    row.set("BudgetedAmount", Cell::Double(budget));
    let (modifier, name) = person(dice, seed);
    row.set("Modifier", modifier);
    row.set("ModifierFullName", name);
}

/// Returns the divisions as the person who signed in sees them.
pub(super) fn divisions(codes: &[i32]) -> Vec<Row> {
    let describe = |(index, code): (usize, &i32)| {
        Row::new(vec![
            ("Code", Cell::Int((*code).into())),
            ("Hid", Cell::Long(i64::from(*code) + 1_000_000_000_000)),
            ("Description", Cell::text(division_name(*code))),
            ("CustomerName", Cell::text(division_name(*code))),
            // Filled up with a blank, as the service has it.
            ("Country", Cell::text("NL ")),
            ("Currency", Cell::text("EUR")),
            ("Current", Cell::Bool(index == 0)),
            ("IsMainDivision", Cell::Bool(index == 0)),
            ("Status", Cell::Int(1)),
            ("BlockingStatus", Cell::Int(0)),
            ("DivisionMoveDate", Cell::Null),
            ("DivisionHRLinkUnlinkDate", Cell::Null),
        ])
    };
    codes.iter().enumerate().map(describe).collect()
}

/// Returns what a division is called.
pub(super) fn division_name(division: i32) -> String {
    let names = [
        "Tidegate Voorbeeld B.V.",
        "Voorbeeld België NV",
        "Exempel & Cie",
    ];
    names[division.unsigned_abs() as usize % names.len()].to_owned()
}

fn maybe(dice: &mut Dice, make: impl FnOnce(&mut Dice) -> Cell) -> Cell {
    if dice.once_in(EMPTY) {
        Cell::Null
    } else {
        make(dice)
    }
}

fn description(dice: &mut Dice, account: usize) -> Cell {
    Cell::text(format!("{} {}", dice.pick(WORKS), ACCOUNTS[account]))
}

fn days(count: usize) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::try_from(count).unwrap_or_default())
}

fn end_date(dice: &mut Dice, start: DateTime) -> Cell {
    maybe(dice, |dice| {
        Cell::Moment(start.saturating_add(days(dice.below(700))))
    })
}

fn notes(dice: &mut Dice) -> Cell {
    if dice.once_in(LONG_NOTES) {
        let length = 1 + dice.below(LONGEST_NOTE);
        return Cell::Text((0..length).map(|_| dice.pick(SENTENCES)).collect());
    }
    maybe(dice, |dice| Cell::text(dice.pick(REMARKS)))
}

fn person(dice: &mut Dice, seed: u64) -> (Cell, Cell) {
    let person = dice.below(PEOPLE.len());
    (
        Cell::Guid(Dice::new(seed, &[2, person as u64]).guid()),
        Cell::text(PEOPLE[person]),
    )
}

fn people(dice: &mut Dice, seed: u64) -> [(&'static str, Cell); 6] {
    let (manager, manager_name) = match dice.once_in(EMPTY) {
        true => (Cell::Null, Cell::Null),
        false => person(dice, seed),
    };
    let (creator, creator_name) = person(dice, seed);
    [
        ("Manager", manager),
        ("ManagerFullname", manager_name),
        ("Creator", creator.clone()),
        ("CreatorFullName", creator_name.clone()),
        ("Modifier", creator),
        ("ModifierFullName", creator_name),
    ]
}

/// Amounts as they come: whole, with cents, with a long tail, negative, very small, nothing.
fn amount(dice: &mut Dice) -> Cell {
    let cents = f64::from(u32::try_from(dice.below(10_000_000)).unwrap_or_default());
    match dice.below(7) {
        0 => Cell::Null,
        1 => Cell::Double(0.0),
        2 => Cell::Double(cents.round()),
        3 => Cell::Double(-cents / 100.0),
        4 => Cell::Double(cents / 3.0),
        5 => Cell::Double(cents / 1e12),
        _ => Cell::Double(cents / 100.0),
    }
}

fn amounts(dice: &mut Dice) -> [(&'static str, Cell); 7] {
    [
        "BudgetedAmount",
        "BudgetedCosts",
        "BudgetedRevenue",
        "CostsAmountFC",
        "MarkupPercentage",
        "SalesTimeQuantity",
        "TimeQuantityToAlert",
    ]
    .map(|name| (name, amount(dice)))
}

fn switches(dice: &mut Dice) -> [(&'static str, Cell); 11] {
    [
        "AllowAdditionalInvoicing",
        "AllowMemberEntryOnly",
        "BlockEntry",
        "BlockInvoicing",
        "BlockPlanning",
        "BlockPurchasing",
        "BlockRebilling",
        "HasWBSLines",
        "IncludeSpecificationInInvoicePdf",
        "InvoiceAsQuoted",
        "UseBillingMilestones",
    ]
    .map(|name| (name, Cell::Bool(dice.once_in(4))))
}

fn choices(dice: &mut Dice) -> [(&'static str, Cell); 13] {
    let prepaid = dice.once_in(5);
    let if_prepaid = |cell: Cell| if prepaid { cell } else { Cell::Null };
    [
        ("BudgetOverrunHours", Cell::Int(dice.pick(&[10, 20]))),
        (
            "BudgetType",
            maybe(dice, |dice| Cell::Int(dice.pick(&[1, 3, 5]))),
        ),
        (
            "BudgetTypeDescription",
            maybe(dice, |_| Cell::text("Hours per hour type")),
        ),
        (
            "Classification",
            maybe(dice, |dice| Cell::Guid(dice.guid())),
        ),
        (
            "ClassificationDescription",
            maybe(dice, |dice| Cell::text(dice.pick(WORKS))),
        ),
        // Premium only, so nothing in this world; a column that is always null.
        ("CustomField", Cell::Null),
        (
            "IncludeInvoiceSpecification",
            Cell::Int(dice.pick(&[1, 2, 3])),
        ),
        (
            "InvoiceAddress",
            maybe(dice, |dice| Cell::Guid(dice.guid())),
        ),
        ("IsWBSRequiredForEntry", Cell::Int(dice.pick(&[0, 1, 2]))),
        ("PrepaidItem", if_prepaid(Cell::Guid(dice.guid()))),
        (
            "PrepaidItemDescription",
            if_prepaid(Cell::text("Strippenkaart 10 uur")),
        ),
        ("PrepaidType", if_prepaid(Cell::Int(dice.pick(&[1, 2])))),
        (
            "SourceQuotation",
            maybe(dice, |dice| Cell::Guid(dice.guid())),
        ),
    ]
}
