/* os_internal: how a fake steps in between the parts of the box and the kernel.
 *
 * Layer      1 (backends/os), inside the box.
 */
#ifndef HAK_BACKENDS_OS_OS_INTERNAL_H_
#define HAK_BACKENDS_OS_OS_INTERNAL_H_

#if defined(HAK_OS_FAKE) && HAK_OS_FAKE
#include "backends/os/os_fake.h"
#define HAK_ALLOWED(call) hak_os_fake_allows(call)
#define HAK_CLOCK_OFFSET_MS() hak_os_fake_clock_offset_ms()
#define HAK_THREAD_US(real) ((void)(real), hak_os_fake_thread_us())
#else
#define HAK_ALLOWED(call) true
#define HAK_CLOCK_OFFSET_MS() 0u
#define HAK_THREAD_US(real) (real)
#endif

#endif /* HAK_BACKENDS_OS_OS_INTERNAL_H_ */
