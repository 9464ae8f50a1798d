// What is not what it claims to be, with the same stable code that paraph gives.
export class Malformed extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'Malformed';
    this.code = code;
  }
}
