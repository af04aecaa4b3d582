"""Network links: ports that devices connect to, and the drivers that use them."""
