// What is not what it claims to be, and evidence that proves nothing, with the same stable codes that paraph gives.
export class Malformed extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'Malformed';
    this.code = code;
  }
}

export class Unverified extends Error {
  constructor(code, message = code) {
    super(message);
    this.name = 'Unverified';
    this.code = code;
  }
}
