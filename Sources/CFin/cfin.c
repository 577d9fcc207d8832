#include "cfin.h"
