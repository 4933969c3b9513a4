#include "../pjsip.h"
