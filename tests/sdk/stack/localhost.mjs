// Names below `localhost` mean this machine (RFC 6761). Browsers and curl know that, Node.js does not.
import dns from 'node:dns';

const { lookup } = dns;

dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? 'localhost' : name, ...rest);
