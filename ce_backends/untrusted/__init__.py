"""Reading what strangers wrote: text, names, JSON, archives, answers over HTTPS. Everything has a bound."""
