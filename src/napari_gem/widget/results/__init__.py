"""Result layers and what is made of them."""
