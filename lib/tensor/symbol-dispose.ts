// Node 20 before 20.5 lacks Symbol.dispose, which `using` looks up; imported for this effect before the first class that has one.
if (!Reflect.has(Symbol, 'dispose')) {
  Object.defineProperty(Symbol, 'dispose', { value: Symbol('Symbol.dispose') });
}
