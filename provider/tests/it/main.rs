//! The built program against operators' mistakes and raw nodes.

mod bill;
mod evidence;
mod links;
mod neighbours;
mod node;
mod parent;
mod site;
mod startup;
