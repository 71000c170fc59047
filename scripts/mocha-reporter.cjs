/**
 * Mocha's own "spec" report, and the counts as JSON in the file named by TERSOR_TEST_COUNTS.
 */
const { writeFileSync } = require('node:fs');
const { reporters, Runner } = require('mocha');

class CountingReporter extends reporters.Spec {
  /**
   * @param {import('mocha').Runner} runner
   * @param {import('mocha').MochaOptions} options
   */
  constructor(runner, options) {
    super(runner, options);
    const file = process.env.TERSOR_TEST_COUNTS;
    if (!file) return;
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes: passed, failures: failed, pending } = this.stats;
      writeFileSync(file, JSON.stringify({ passed, failed, pending }));
    });
  }
}

module.exports = CountingReporter;
