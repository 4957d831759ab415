// Names below `localhost` are this machine (RFC 6761), which browsers and curl know, and Node.js does not.
import dns from 'node:dns';

const { lookup } = dns;

dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? 'localhost' : name, ...rest);
