// A plain dependency on a variant brings hakmem.h and nothing else into a compilation.
#include "hakmem.h"

#if !defined(HAKMEM_VERSION_STRING)
#error "hakmem.h is not the public header"
#endif
#if defined(HAK_CFG_CHECK) || defined(HAK_CFG_STATS) || defined(HAK_CFG_DEBUG)
#error "a define of the variant reaches the service's compile line"
#endif
#if defined(__has_include)
#if __has_include("attr.h") || __has_include("hak_config.h")
#error "an include path of the variant reaches the service's compile line"
#endif
#endif

int main() { return hak_good_size(1) >= 1 ? 0 : 1; }
