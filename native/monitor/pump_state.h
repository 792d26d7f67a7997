// What one call of a pump came to.
#ifndef CORACLE_NATIVE_MONITOR_PUMP_STATE_H_
#define CORACLE_NATIVE_MONITOR_PUMP_STATE_H_

#include <stdint.h>

namespace coracle {

enum class PumpState : uint8_t {
  kMore = 0,     // moved something; there may be more
  kEmpty = 1,    // nothing to read now
  kBlocked = 2,  // the receiver of raw bytes takes no more now
  kEnded = 3,    // end of file
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PUMP_STATE_H_
