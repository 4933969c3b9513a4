#include "pjsip.h"
