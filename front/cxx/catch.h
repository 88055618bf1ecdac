/* catch: the one place that catches C++ exceptions, compiled as C++ but linked against no C++
 * runtime.
 *
 * Owns       nothing.
 * Threads    any.
 * Layer      6 (front). Uses nothing. Used by front/cxx:operators.
 */
#ifndef HAK_FRONT_CXX_CATCH_H_
#define HAK_FRONT_CXX_CATCH_H_

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True if the runtime was there when this library was linked or loaded. Else an exception passes
 * through hak_catch_call as if it were not there. */
bool hak_catch_is_available(void);

/* Returns what `work(argument)` returns, or NULL if it throws. */
void *hak_catch_call(void *(*work)(void *), void *argument);

#ifdef __cplusplus
}
#endif
#endif /* HAK_FRONT_CXX_CATCH_H_ */
