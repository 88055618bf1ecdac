#include "config/hak_config.h"

#ifndef HAK_CFG_VARIANT
#define HAK_CFG_VARIANT "hakmem"
#endif

/* One strong definition per configuration: linking two variants into one binary is a link error. */
extern const int hak_only_one_variant_may_be_linked;
const int hak_only_one_variant_may_be_linked = 1;

const char hak_config_variant[] = HAK_CFG_VARIANT;
