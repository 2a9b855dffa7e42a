/* bcc includes this; nothing in it is needed. */
