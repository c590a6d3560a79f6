//! Names and phrases as customers type them: accents, quotes, other scripts, and some mischief.

/// Customers, with the names their accounts bear.
pub(super) const ACCOUNTS: &[&str] = &[
    "Bakkerij 't Hoekje",
    "Müller & Söhne GmbH",
    "Brasserie L'Étoile",
    "Ångström Elektronik AB",
    "Café \"De Zwaan\"",
    "株式会社 東京製作所",
    "Żółć i Syn Sp. z o.o.",
    "O'Brien Logistics Ltd",
    "Ziekenhuis Sint-Jozef",
    "Ελληνικά Ταξίδια Α.Ε.",
    "Gemeente ’s-Hertogenbosch",
    "Ферма «Заря»",
    "شركة النور",
    "Peña Construcciones, S.L.",
    "Van der Berg <Techniek>",
    "Smørrebrød & Co",
];

/// What a project is about.
pub(super) const WORKS: &[&str] = &[
    "Website",
    "Onderhoud 2025",
    "Verbouwing kantoor",
    "ERP-Einführung",
    "Audit financière",
    "Migration to the cloud",
    "Jaarrekening",
    "Réorganisation de l'entrepôt",
    "データ移行",
    "Zonnepanelen \u{2600}\u{fe0f}",
    "Support & beheer",
    "Training \"first aid\"",
    "Koelinstallatie -20\u{b0}C",
    "50% korting / actie",
    "Phase II \u{2013} roll-out \u{1f680}",
    "Inventur",
];

/// People who lead projects, and who change them.
pub(super) const PEOPLE: &[&str] = &[
    "Saskia de Vries",
    "Jürgen Groß",
    "Zoë d'Hondt",
    "Łukasz Wójcik",
    "Nguyễn Thị Ánh",
    "山田 太郎",
    "Siobhán Ní Bhriain",
    "Ole Åkesson",
];

/// Text that a careless program breaks on, put where people write freely.
pub(super) const REMARKS: &[&str] = &[
    "Eerst bellen, dan langskomen.",
    "Tel.: +31 (0)20 555 01 23\r\nVragen naar mw. Jansen",
    "'; DROP TABLE project; --",
    "null",
    "00123",
    "Zeile 1\nZeile 2\tmit Tabulator",
    "C:\\Projekte\\2025\\Ünïcödé",
    "<b>Wichtig!</b> &amp; dringend",
    "Blijft \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} verzoek: \u{1f1f3}\u{1f1f1}",
    "Ame\u{301}lie, de\u{301}compose\u{301}",
    "מסמך בעברית 123",
    " met spaties eromheen ",
    "{\"json\": [1, 2, 3]}",
    "{{ bookmark }}",
    "/Date(morgen)/",
    "Line\u{2028}separator and \u{feff}mark",
];

/// What long notes are made of.
pub(super) const SENTENCES: &[&str] = &[
    "Afgesproken is dat de oplevering in twee delen gebeurt. ",
    "Le client souhaite être prévenu avant chaque visite. ",
    "Die Abrechnung erfolgt monatlich nach Aufwand. ",
    "Zie ook de offerte van vorig jaar. \n",
    "詳細は別紙を参照してください。",
    "The \"old\" server stays until further notice. ",
];
