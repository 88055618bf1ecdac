/* lying_allocator: claims to be hakmem and serves nothing. A report that trusts the name alone
 * would credit hakmem with glibc's figures. */
const char *hak_version(void);

const char *hak_version(void) { return "9.8.7 (fake_variant)"; }
