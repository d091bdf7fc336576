/* Code that is called later, from somewhere that knows nothing of the library that it stands in (a thread, a list of
 * clean-ups), must not be unloaded before. Lua unloads libraries when a state is closed. */
#ifndef HD_PIN_H
#define HD_PIN_H

/* The library that this function stands in stays loaded from now on. 0, or -1. */
int hd_pin(void (*code)(void *));

#endif
