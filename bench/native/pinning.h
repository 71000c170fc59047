// Binds threads to CPUs, one each, ours and the peer's alike: where a scheduler packs them on one CPU, two threads would
// take as long as one, now and then.
#pragma once

namespace tersor::bench {

// The calling thread to the CPU of that index among those that the process may use, from the first again after the last.
// Does nothing where threads cannot be bound.
void pin_thread(int index);

}  // namespace tersor::bench
