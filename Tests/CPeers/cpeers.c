#include "cpeers.h"
