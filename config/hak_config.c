#include "config/hak_config.h"

/* One strong definition per configuration: linking two variants into one binary is a link error. */
extern const int hak_only_one_variant_may_be_linked;
const int hak_only_one_variant_may_be_linked = 1;
